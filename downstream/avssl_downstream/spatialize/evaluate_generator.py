"""Evaluation of a generator on held-out clips, beside baselines and oracles."""

# C output channels, S samples

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache

from torch import Tensor

from avssl.datasets.manifest import Manifest, Row
from avssl.io.progress import track
from avssl.models.runtime import evaluating
from avssl_downstream.spatialize.evaluation_clips import evenly_spaced, target_audio
from avssl_downstream.spatialize.evaluation_rows import MODEL, EvaluationRows, read_truth
from avssl_downstream.spatialize.filtered_clips import filtered_metrics, level_difference
from avssl_downstream.spatialize.metrics import Metrics, audio_metrics, clip_means
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.oracles import Outputs
from avssl_downstream.spatialize.scene_groups import group_metrics, read_groups

BASELINES = ("mono", "prior", "heat_map", "audio_only", "black", "flipped", "silence", "parametric")
COMPARED_METRICS = ("stft", "env", "emd_degrees", "direction_error")
RANDOM_ERROR = 90.0
"""Degrees; mean angle between a direction and a random one."""


class Evaluation:
    """Metrics of a generator, of baselines and of oracles.

    - `silence`: nothing in the generated channels: Y, Z and X, or left minus right; of second order, first order alone,
      as it is plainly decoded;
    - `prior`: input channels with the mean gains of the training clips;
    - `calibrated`: the generator at another level beside a spatial prior, fitted on training clips, see `Calibration`;
    - `heat_map`: mono audio from the direction of the heat map of a dense task, without training;
    - `mono`: mono audio in every channel;
    - `ahead`: mono audio as a plane wave from straight ahead, first-order ambisonics only;
    - `parametric`: of second order, first order sharpened by its own directions, see `parametric_upmix`;
    - `level_matched`: the same, each channel at its true level in the clip;
    - `audio_only`: a generator that was trained without frames;
    - `flipped`, `black`: the generator with mirrored frames, with black frames;
    - `deaf`: the generator with the masks of another clip's audio;
    - `places`: the generator's own tracks at true places;
    - `masks`: truly masked sources at the generator's own places;
    - `seen`, `observer`: a perfect eye, an ideal observer of kinds; see `oracles.perfect_eye`;
    - `best_real`, `best_complex`: ideal masks, see `oracles.best_masks`; `oracle`: those of the generator's own kind.

    Args:
        rows: of the generator.
        options: number of clips, normalisation.
        trained: keys of the training clips, where they are of the same dataset as the held-out ones.
    """

    def __init__(self, rows: EvaluationRows, options: SpatializeOptions, trained: Collection[str] = ()) -> None:
        self.rows, self.generator, self.options, self.trained = rows, rows.generator, options, trained
        self.by_clip: dict[str, dict[str, Metrics]] = {}
        """Row -> key of a clip -> metrics of it, after `run`."""

    def run(self, manifest: Manifest, callback: Callable[[Row, Outputs, Tensor], object] | None = None) -> Metrics:
        """Metrics over clips: `test_explained` and `test_stft` of the generator, `mono_stft`, ...

        Energy explained has an interval over recordings (`_low`, `_high`). `test_stft_below_mono` is the share by which
        the generator's error is below that of mono audio. Of binaural audio, `filtered_stft` and others are of clips
        whose channels differ in level, see `filtered_metrics`; of synthetic scenes, `test_P1_explained` and others are
        of their groups, see `group_metrics`.

        Args:
            manifest: held-out clips.
            callback: called with each clip's row, outputs by method, and target.

        Raises:
            InputError: a broken file, or another number of channels.
        """
        clips = evenly_spaced(manifest.rows, self.options.max_clips)
        truth, reason = read_truth(manifest, self.generator)
        self.rows.explain(len(clips), reason)
        found: dict[str, list[Metrics]] = {}
        differences: list[float] = []
        # Each clip gives its masks to `deaf` of the clip before.
        audio_of = lru_cache(maxsize=2)(lambda index: target_audio(clips[index], manifest, self.generator))
        with evaluating(self.generator):
            for index, row in enumerate(track(clips, "held-out clips", "clips")):
                target = audio_of(index)
                other = audio_of((index + 1) % len(clips)) if len(clips) > 1 else None
                outputs = self.rows.outputs(row, manifest, target, other, truth)
                differences += [level_difference(target)] if len(target) == 2 else []
                for name, audio in outputs.items():
                    found.setdefault(name, []).append(self._metrics(row, audio, target))
                if callback:
                    callback(row, outputs, target)
        keys = [row.key for row in clips]
        self.by_clip = {name: dict(zip(keys, each, strict=True)) for name, each in found.items()}
        recordings = [row.source or row.key for row in clips]
        means = {name: clip_means(each, recordings) for name, each in found.items()}
        filtered = filtered_metrics(found, differences, recordings, self.options.filter_db) if differences else {}
        groups = read_groups(manifest.root, self.trained, self.generator.panoramic)
        by_group = group_metrics(found, keys, recordings, groups)
        return _compared(means) | filtered | by_group | self._chance() | {"tested_clips": float(len(clips))}

    def _metrics(self, row: Row, audio: Tensor, target: Tensor) -> Metrics:
        unrecorded = "Z" in row.silent_channels
        return audio_metrics(audio, target, self.generator.sample_rate, self.options.normalisation, unrecorded)

    def _chance(self) -> Metrics:
        return {"chance_direction_error": RANDOM_ERROR} if self.generator.output == "foa" else {}


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
