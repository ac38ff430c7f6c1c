"""Solos of pseudo-binaural pairs as training targets: the sources on the left of a picture, and those on the right."""

# K sources, S samples

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from avssl.data.clip import Clip
from avssl.datasets.manifest import Manifest
from avssl.detection.object_index import MAX_ROWS
from avssl.errors import InputError
from avssl.io.parquet_table import ParquetTable
from avssl.spatial.stft import level
from avssl.synth.output_folder import TRUTH
from avssl.synth.render_dataset import shares_path, sources_path
from avssl_downstream.spatialize.stems import Views, read_sources

SCHEMA = pa.schema([("key", pa.string()), ("object", pa.int64()), ("sounding", pa.bool_()), ("x", pa.float64())])
CENTRE, EDGE_OF_CODE = 1 / 2, 1 / 3
"""Share of the picture's width in which sources are on the left: half; or a third, as in PseudoBinaural's code."""


@dataclass(frozen=True)
class ViewsWithSolos:
    """Views of clips that have their solos, see `Clip.solos`.

    Args:
        views: of a generator.
        root: folder that the paths of clips start from.
        places: key of a clip -> place of each source from left to right, 0..1 of the picture's width.
        as_code: dry sources, each side at a root mean square of 0.1, those in the left third on the left, as in
            PseudoBinaural's code; else the share of each source in left plus right, those in the left half on the left.
    """

    views: Views
    root: Path
    places: dict[str, tuple[float, ...]]
    as_code: bool

    def __call__(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """See `Generator.views`; clips without solos are passed on.

        Raises:
            InputError: a broken file.
        """
        path = _file(self.root / str(clip.labels["audio"]), self.as_code)
        if clip.key not in self.places or not path.is_file():
            return self.views(clip, rng)
        places = torch.tensor(self.places[clip.key])
        sources = read_sources(path, clip)
        if len(sources) != len(places):
            raise InputError(f"{path}: expected {len(places)} sources, as in {TRUTH}, got {len(sources)}")
        return self.views(replace(clip, solos=self._apart(sources, places, clip.audio)), rng)

    def _apart(self, sources: Tensor, places: Tensor, audio: Tensor) -> Tensor:
        """Solos on the left and on the right, `(2, S)`; as in the code, left and right of a pair with one source."""
        if not self.as_code:
            return 2 * _grouped(sources, places < CENTRE)
        if len(places) == 1:
            return audio / level(audio.sum(0))
        apart = _grouped(sources, places < EDGE_OF_CODE)
        return apart / level(apart)


def views_with_solos(views: Views, manifest: Manifest, as_code: bool) -> Views:
    """Views of the clips of a manifest with their solos; of recordings, the views alone.

    Raises:
        InputError: broken ground truth.
    """
    places = source_places(manifest.root) if has_solos(manifest, as_code) else {}
    return ViewsWithSolos(views, manifest.root, places, as_code) if places else views


def has_solos(manifest: Manifest, as_code: bool) -> bool:
    """Whether the clips of a manifest are those of a synthetic dataset that writes its sources one by one."""
    first = next(iter(manifest), None)
    if first is None or not (manifest.root / TRUTH).is_file():
        return False
    return _file(manifest.root / first.audio, as_code).is_file()


def source_places(folder: Path) -> dict[str, tuple[float, ...]]:
    """Place of each source of each clip, 0..1 of the picture's width to the right, in the order of their files.

    Raises:
        InputError: a broken file.
    """
    table = ParquetTable(folder / TRUTH, SCHEMA, "the ground truth of pairs", MAX_ROWS).read()
    found: defaultdict[str, dict[int, float]] = defaultdict(dict)
    columns = (table[name].to_pylist() for name in SCHEMA.names)
    for key, number, sounding, place in zip(*columns, strict=True):
        if sounding and place is not None:
            found[key].setdefault(number, place)  # sources stay where they are
    return {key: tuple(places[number] for number in sorted(places)) for key, places in found.items()}


def _file(audio: Path, as_code: bool) -> Path:
    return sources_path(audio) if as_code else shares_path(audio)


def _grouped(sources: Tensor, left: Tensor) -> Tensor:
    """Sum of the sources on the left, and of the others: `(2, S)`."""
    return torch.stack([sources[left].sum(0), sources[~left].sum(0)])
