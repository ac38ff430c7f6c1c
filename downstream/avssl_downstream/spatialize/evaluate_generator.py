"""Evaluation of a generator on held-out clips, beside baselines and an upper bound."""

# I input channels, C output channels, S samples

from __future__ import annotations

from collections.abc import Callable

import torch
from lightning_fabric import Fabric
from torch import Tensor

from avssl.datasets.manifest import Manifest, Row
from avssl.io.progress import track
from avssl.models.runtime import evaluating
from avssl_downstream.spatialize.evaluation_clips import clip_frames, evenly_spaced, target_audio
from avssl_downstream.spatialize.frame_features import (
    FrameCache,
    FrameFeatures,
    FrameReader,
    FrameTransform,
    RecordedFrames,
)
from avssl_downstream.spatialize.generator import Generator, mix_down
from avssl_downstream.spatialize.inference import WindowSchedule, ideal_mask_stream
from avssl_downstream.spatialize.metrics import Metrics, audio_metrics, mean_metrics
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.streaming import StreamingSpatializer, generate_stream

MODEL = "test"
FRAME_TRANSFORMS: dict[str, FrameTransform | None] = {
    MODEL: None,
    "audio_only": torch.zeros_like,
    "flipped": lambda frames: frames.flip(-1),
}
"""Method -> transform of its frames."""
BASELINES = ("mono", "prior", "audio_only", "flipped")
COMPARED_METRICS = ("stft", "env", "emd_degrees", "direction_error")

Outputs = dict[str, Tensor]
"""Method -> audio `(C, S)`."""


class Evaluation:
    """Metrics of a generator, of baselines and of an upper bound.

    - `mono`: mono audio in every channel;
    - `prior`: input channels with the mean gains of the training clips;
    - `audio_only`: the generator with black frames;
    - `flipped`: the generator with mirrored frames;
    - `oracle`: ideal masks.

    Args:
        generator: on the fabric's device.
        prior: of the training clips, `(C, I)`, see `evaluation_clips.spatial_prior`; None without training clips: then
            the row is left out.
        options: window schedule, normalisation.
        fabric: device and precision.
    """

    def __init__(self, generator: Generator, prior: Tensor | None, options: SpatializeOptions, fabric: Fabric) -> None:
        self.generator, self.prior, self.options, self.fabric = generator, prior, options, fabric
        self.schedule = WindowSchedule(options.hop, options.windows)

    def run(self, manifest: Manifest, callback: Callable[[Row, Outputs, Tensor], object] | None = None) -> Metrics:
        """Means over clips: `test_stft` of the generator, `mono_stft`, ... and `test_stft_below_mono`, a share.

        Args:
            manifest: held-out clips.
            callback: called with each clip's row, outputs by method, and target.

        Raises:
            InputError: a broken file, or another number of channels.
        """
        rows = evenly_spaced(manifest.rows, self.options.max_clips)
        found: dict[str, list[Metrics]] = {}
        with evaluating(self.generator):
            for row in track(rows, "held-out clips", "clips"):
                target = target_audio(row, manifest, self.generator)
                outputs = self.outputs(row, manifest, target)
                for name, audio in outputs.items():
                    metrics = audio_metrics(audio, target, self.generator.sample_rate, self.options.normalisation)
                    found.setdefault(name, []).append(metrics)
                if callback:
                    callback(row, outputs, target)
        means = {name: mean_metrics(clips) for name, clips in found.items()}
        return _compared(means) | {"tested_clips": float(len(rows))}

    def outputs(self, row: Row, manifest: Manifest, target: Tensor) -> Outputs:
        """Audio of each method for a clip."""
        audio, reader = self.generator.input_audio(target), FrameCache(clip_frames(row, manifest))
        outputs = {
            name: self._generated(audio, reader, row.seconds, change) for name, change in FRAME_TRANSFORMS.items()
        }
        outputs["mono"] = mix_down(target)[None].expand_as(target)
        if self.prior is not None:
            outputs["prior"] = self.prior @ audio
        return outputs | {"oracle": ideal_mask_stream(self.generator, target, self.schedule)}

    def _generated(
        self, audio: Tensor, reader: FrameReader, seconds: float, transform: FrameTransform | None
    ) -> Tensor:
        """Output of the generator for the whole input audio `(I, S)` of a clip."""
        features = FrameFeatures(self.generator, RecordedFrames(self.generator, reader, seconds), transform)
        rate = self.generator.sample_rate
        spatializer = StreamingSpatializer(self.generator, features, rate, self.schedule, self.fabric)
        return torch.cat(list(generate_stream(spatializer, [audio])), 1)


def _compared(methods: dict[str, Metrics]) -> Metrics:
    """Metrics of all methods in one mapping, and the share by which the generator is below each baseline."""
    flat = {f"{method}_{name}": value for method, metrics in methods.items() for name, value in metrics.items()}
    for name in COMPARED_METRICS:
        own = flat.get(f"{MODEL}_{name}")
        for baseline in BASELINES:
            reference = flat.get(f"{baseline}_{name}")
            if own is not None and reference:
                flat[f"{MODEL}_{name}_below_{baseline}"] = 1 - own / reference
    return flat
