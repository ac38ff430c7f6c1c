"""Frozen or fine-tuned encoders on EigenScape, beside the data set's own system."""

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
from avssl_downstream.acoustic_scenes.rotation_pooling import pool_rotations
from avssl_downstream.classification.cross_validation import Predict
from avssl_downstream.classification.finetune import finetuned
from avssl_downstream.classification.segment_head import SegmentHead
from avssl_downstream.classification.segment_probe import probe
from avssl_downstream.eigenscape.dirac import dirac, mixtures
from avssl_downstream.eigenscape.options import EigenscapeOptions

logger = logging.getLogger(f"avssl.{__name__}")


class Eigenscape(SegmentHead):
    """Eight classes of scenes in ambisonics of order 1.

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

    def _labelled(self, root: Path) -> Dataset:
        cut = self.options.layout_options()
        found = cached_dataset(root, {"layout": "eigenscape", **asdict(cut)}, lambda: EigenScape(cut).read(root))
        if "Park" in found.classes and found.name == NAME:
            how = "exchanged here" if cut.swap_park else "taken as they are named; swap_park=true exchanges them"
            logger.info("recordings 6 and 8 of Park differ between EigenScape's raw and ambisonic files: %s", how)
        return found

    def _reading(self) -> Reading:
        return self.options.reading()

    def _check(self, encoders: Encoders) -> None:
        if CHANNELS not in encoders.features.accepted:
            takes = " or ".join(map(str, encoders.features.accepted))
            raise InputError(f"eigenscape: recordings have 4 channels, features {encoders.features.name} take {takes}")

    def _audio_embedder(self, audio: AudioEncoder, layer: str = "") -> AudioEmbedder:
        return pool_rotations(audio, self.options.turns, layer or self.options.layer)

    def _rows(self, labelled: Dataset, folder: Path) -> Iterator[tuple[str, Predict]]:
        options = self.options
        for name, each in self._compared().items():
            if options.mode == "finetune":
                yield name, finetuned(each, labelled, options.towers, self._reading(), options, folder / name)
            else:
                yield name, probe(self._embedded(each.audio, labelled, f"{name} encoders".lstrip()), options)
        yield from self._audio_rows(labelled, CHANNELS)
        if "dirac_gmm" in options.baselines:
            windows = self._windows(dirac(resolved(options.window), options.legacy), labelled, self._reading(), "DirAC")
            yield "dirac_gmm", mixtures(windows, options.seed)
