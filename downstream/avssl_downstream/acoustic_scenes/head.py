"""Acoustic scene classification with frozen or fine-tuned encoders on TAU Urban Audio-Visual Scenes 2021."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from avssl.data.clip_options import Reading
from avssl.datasets.dataset import Dataset
from avssl.datasets.layouts.tau import Tau, TauOptions
from avssl.embedding.dataset_cache import cached_dataset
from avssl.errors import InputError
from avssl.models.encoders import Encoders
from avssl_downstream.acoustic_scenes.options import AcousticScenesOptions
from avssl_downstream.classification.cross_validation import Predictor, late_fusion
from avssl_downstream.classification.finetune import finetune_predictor
from avssl_downstream.classification.segment_head import SegmentHead
from avssl_downstream.classification.segment_probe import probe_predictor


class AcousticScenes(SegmentHead):
    """Acoustic scene classification from audio, video or both: TAU Urban Audio-Visual Scenes 2021.

    Args:
        encoders: pretrained towers, or None.
        options: see `AcousticScenesOptions`.

    Raises:
        InputError: encoders that take ambisonics only, without `upmix`.
    """

    Options = AcousticScenesOptions
    name = "acoustic-scenes"
    layout = "tau"
    options: AcousticScenesOptions

    def _read_dataset(self, root: Path) -> Dataset:
        options = self.options
        settings = {
            "layout": "tau",
            "towers": list(options.towers),
            "segment": options.segment,
            "missing": options.missing,
        }
        layout = Tau(TauOptions(options.missing, options.towers, options.segment))
        return cached_dataset(root, settings, lambda: layout.read(root))

    def _reading(self) -> Reading:
        return self.options.reading(self.encoders)

    def _check(self, encoders: Encoders) -> None:
        takes = encoders.features.accepted
        if "audio" in self.options.towers and 2 not in takes and not self.options.upmix:
            raise InputError(
                f"acoustic-scenes: expected features for 2 channels, {encoders.features.name} takes {takes[0]}; "
                "set upmix=true for W = (L + R) / 2 and Y = (L - R) / 2, or tower=video"
            )

    def _rows(self, dataset: Dataset, folder: Path) -> Iterator[tuple[str, Predictor]]:
        towers, options = self.options.towers, self.options
        for name, each in self._encoder_rows().items():
            if options.mode == "finetune":
                yield name, finetune_predictor(each, dataset, towers, self._reading(), options, folder / name)
            else:
                yield from self._fused(each, dataset, name)
        if "audio" in towers:
            yield from self._audio_rows(dataset, channels=2)

    def _fused(self, encoders: Encoders, dataset: Dataset, name: str) -> Iterator[tuple[str, Predictor]]:
        """Single towers, early fusion (concatenated embeddings) and late fusion (multiplied probabilities)."""
        towers, title = self.options.towers, name or "encoders"
        embeddings = {tower: self._embedded(getattr(encoders, tower), dataset, title) for tower in towers}
        yield name, probe_predictor(torch.cat(list(embeddings.values()), 1), self.options)
        if len(towers) == 2:
            single = {tower: probe_predictor(each, self.options) for tower, each in embeddings.items()}
            rows = {**single, "late": late_fusion(list(single.values()))}
            yield from ((f"{name}_{each}".lstrip("_"), predict) for each, predict in rows.items())
