"""Frozen or fine-tuned encoders on urban scenes: TAU Urban Audio-Visual Scenes 2021."""

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
from avssl_downstream.classification.cross_validation import Predict, late
from avssl_downstream.classification.finetune import finetuned
from avssl_downstream.classification.segment_head import SegmentHead
from avssl_downstream.classification.segment_probe import probe


class AcousticScenes(SegmentHead):
    """Urban scenes by sound, pictures or both: TAU Urban Audio-Visual Scenes 2021.

    Args:
        encoders: pretrained towers, or None.
        options: see `AcousticScenesOptions`.

    Raises:
        InputError: encoders of ambisonics, and stereo is not to be mixed up for them.
    """

    Options = AcousticScenesOptions
    name = "acoustic-scenes"
    layout = "tau"
    options: AcousticScenesOptions

    def _labelled(self, root: Path) -> Dataset:
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
                f"scenes: the set's sound has 2 channels, features {encoders.features.name} take {takes[0]}; "
                "set upmix=true to let them hear W = (L + R) / 2 and Y = (L - R) / 2, or tower=video"
            )

    def _rows(self, labelled: Dataset, folder: Path) -> Iterator[tuple[str, Predict]]:
        towers, options = self.options.towers, self.options
        for name, each in self._compared().items():
            if options.mode == "finetune":
                yield name, finetuned(each, labelled, towers, self._reading(), options, folder / name)
            else:
                yield from self._fused(each, labelled, name)
        if "audio" in towers:
            yield from self._audio_rows(labelled, channels=2)

    def _fused(self, encoders: Encoders, labelled: Dataset, name: str) -> Iterator[tuple[str, Predict]]:
        """Each tower alone, and both: early (embeddings joined) and late (probabilities multiplied)."""
        towers, title = self.options.towers, name or "encoders"
        embeddings = {tower: self._embedded(getattr(encoders, tower), labelled, title) for tower in towers}
        yield name, probe(torch.cat(list(embeddings.values()), 1), self.options)
        if len(towers) == 2:
            alone = {tower: probe(each, self.options) for tower, each in embeddings.items()}
            together = {**alone, "late": late(list(alone.values()))}
            yield from ((f"{name}_{each}".lstrip("_"), predict) for each, predict in together.items())
