"""A generator on held-out clips, beside what it must beat and what could be reached."""

# C channels, S samples

from __future__ import annotations

from collections.abc import Callable

import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import track
from torch import Tensor

from avssl.datasets.manifest import Manifest, Row
from avssl.models.runtime import evaluating
from avssl_downstream.spatialize.evaluation_clips import FrameTransform, clip_frames, evenly_spaced, target_audio
from avssl_downstream.spatialize.frame_features import FrameCache, FrameFeatures, FrameReader
from avssl_downstream.spatialize.generator import Generator, mix_down
from avssl_downstream.spatialize.inference import WindowSchedule, generate_stream, ideal_mask_stream
from avssl_downstream.spatialize.metrics import Metrics, audio_metrics, mean_metrics
from avssl_downstream.spatialize.options import SpatializeOptions

MODEL = "test"
FRAME_TRANSFORMS: dict[str, FrameTransform | None] = {
    MODEL: None,
    "audio_only": torch.zeros_like,
    "flipped": lambda frames: frames.flip(-1),
}
"""What is done to the pictures."""
BASELINES = ("mono", "prior", "audio_only", "flipped")
COMPARED_METRICS = ("stft", "env", "emd_degrees", "direction_error")

Outputs = dict[str, Tensor]


class Evaluation:
    """Measures a generator, and beside it what it must beat and what could be reached.

    - `mono`: the mono sound in every channel;
    - `prior`: what is given in each channel as much as on average of the training clips;
    - `audio_only`: the generator before black pictures;
    - `flipped`: the generator before pictures with left and right exchanged;
    - `oracle`: the true masks.

    Args:
        generator: on the fabric's device.
        prior: of the training clips, `(C, I)`; see `clips.spatial_prior`. None: there are no such clips, and no row.
        options: pace, normalisation.
        fabric: precision.
    """

    def __init__(self, generator: Generator, prior: Tensor | None, options: SpatializeOptions, fabric: Fabric) -> None:
        self.generator, self.prior, self.options, self.fabric = generator, prior, options, fabric
        self.pace = WindowSchedule(options.hop, options.windows)

    def run(self, manifest: Manifest, say: Callable[[Row, Outputs, Tensor], object] | None = None) -> Metrics:
        """Means over clips: `test_stft` of the generator, `mono_stft`, ... and `test_stft_below_mono`, a share.

        Args:
            manifest: held-out clips.
            say: is given what was made of each, by name, and the truth.

        Raises:
            InputError: a file is broken, or has other channels.
        """
        rows = evenly_spaced(manifest.rows, self.options.max_clips)
        console = Console(stderr=True)
        found: dict[str, list[Metrics]] = {}
        with evaluating(self.generator):
            for row in track(rows, "held-out clips", console=console, disable=not console.is_terminal):
                truth = target_audio(row, manifest, self.generator)
                made = self.made(row, manifest, truth)
                for name, audio in made.items():
                    numbers = audio_metrics(audio, truth, self.generator.sample_rate, self.options.normalisation)
                    found.setdefault(name, []).append(numbers)
                if say:
                    say(row, made, truth)
        return _compared({name: mean_metrics(clips) for name, clips in found.items()}) | {
            "tested_clips": float(len(rows))
        }

    def made(self, row: Row, manifest: Manifest, truth: Tensor) -> Outputs:
        """What each of them makes of a clip, `(C, S)`."""
        given, frames = self.generator.input_audio(truth), FrameCache(clip_frames(row, manifest))
        made = {name: self._seeing(frames, row.seconds, given, changed) for name, changed in FRAME_TRANSFORMS.items()}
        made["mono"] = mix_down(truth)[None].expand_as(truth)
        if self.prior is not None:
            made["prior"] = self.prior @ given
        return made | {"oracle": ideal_mask_stream(self.generator, truth, self.pace)}

    def _seeing(self, frames: FrameReader, seconds: float, given: Tensor, changed: FrameTransform | None) -> Tensor:
        seen = FrameFeatures(self.generator, frames, seconds, changed)
        return torch.cat(list(generate_stream(self.generator, [given], seen, self.fabric, self.pace)), 1)


def _compared(methods: dict[str, Metrics]) -> Metrics:
    """All numbers in one mapping, and by which share of theirs the generator is below others."""
    flat = {f"{method}_{name}": value for method, numbers in methods.items() for name, value in numbers.items()}
    for name in COMPARED_METRICS:
        mine = flat.get(f"{MODEL}_{name}")
        for other in BASELINES:
            theirs = flat.get(f"{other}_{name}")
            if mine is not None and theirs:
                flat[f"{MODEL}_{name}_below_{other}"] = 1 - mine / theirs
    return flat
