"""Acoustic scene classification with frozen or fine-tuned encoders on EigenScape, and the published baseline."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from avssl.data.clip_options import Reading
from avssl.datasets.dataset import Dataset
from avssl.datasets.layouts.eigenscape import CHANNELS, NAME, EigenScape
from avssl.embedding.dataset_cache import cached_dataset
from avssl.errors import InputError
from avssl.models.embedder import AudioEmbedder
from avssl.models.encoders import AudioEncoder, Encoders
from avssl.models.geometry import resolved
from avssl_downstream.classification.cross_validation import Predictor
from avssl_downstream.classification.finetune import finetune_predictor
from avssl_downstream.classification.rotation_pooling import pool_rotations
from avssl_downstream.classification.segment_head import SegmentHead
from avssl_downstream.classification.segment_probe import probe_predictor
from avssl_downstream.eigenscape.dirac import dirac_embedder, gmm_predictor
from avssl_downstream.eigenscape.options import EigenscapeOptions

logger = logging.getLogger(f"avssl.{__name__}")


class Eigenscape(SegmentHead):
    """Acoustic scene classification in first-order ambisonics: eight classes.

    Args:
        encoders: pretrained towers, or None.
        options: see `EigenscapeOptions`.

    Raises:
        InputError: see `SegmentHead`.
    """

    Options = EigenscapeOptions
    name = "eigenscape"
    layout = "eigenscape"
    options: EigenscapeOptions

    def _read_dataset(self, root: Path) -> Dataset:
        layout_options = self.options.layout_options()
        dataset = cached_dataset(
            root, {"layout": "eigenscape", **asdict(layout_options)}, lambda: EigenScape(layout_options).read(root)
        )
        if "Park" in dataset.classes and dataset.name == NAME:
            how = "swapped here" if layout_options.swap_park else "not swapped; swap_park=true swaps them"
            logger.info("recordings 6 and 8 of Park differ between EigenScape's raw and ambisonic files: %s", how)
        return dataset

    def _reading(self) -> Reading:
        return self.options.reading()

    def _check(self, encoders: Encoders) -> None:
        if CHANNELS not in encoders.features.accepted:
            takes = " or ".join(map(str, encoders.features.accepted))
            raise InputError(f"eigenscape: expected features for 4 channels, {encoders.features.name} takes {takes}")

    def _audio_embedder(self, audio: AudioEncoder, layer: str = "") -> AudioEmbedder:
        return pool_rotations(audio, self.options.rotations, layer or self.options.layer)

    def _rows(self, dataset: Dataset, folder: Path) -> Iterator[tuple[str, Predictor]]:
        options = self.options
        for name, each in self._encoder_rows().items():
            if options.mode == "finetune":
                yield name, finetune_predictor(each, dataset, options.towers, self._reading(), options, folder / name)
            else:
                yield name, probe_predictor(self._embedded(each.audio, dataset, f"{name} encoders".lstrip()), options)
        yield from self._audio_rows(dataset, CHANNELS)
        if "dirac_gmm" in options.baselines:
            windows = self._windows(
                dirac_embedder(resolved(options.window), options.legacy), dataset, self._reading(), "DirAC"
            )
            yield "dirac_gmm", gmm_predictor(windows, options.seed)
