"""Benchmark of packed clips: random reads of shards, against a folder, and WebDataset as it streams the shards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avssl.bench.case import Case, Result, Row, Size, largest
from avssl.bench.peers import with_library
from avssl.data.loader import permutation
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.datasets.pack_shards import SHARDS, pack
from avssl.regular_files import open_regular
from avssl.stores.span_cache import spans
from avssl.synth.synth360 import Synth360

SECONDS = 1.6
LOOKED_AT = 64
"""Bytes of each file that are compared."""


def cases(size: Size, folder: Path) -> list[Row]:
    """The bytes of all clips once, in the order of training."""
    options = Synth360.Options(clips=size.scenes, seconds=SECONDS, width=2 * size.height)
    files = read_manifest(Synth360(options).render(folder / "scenes", workers=1, progress=False))
    packed = read_manifest(pack(files.root, folder / "packed"))
    ours, work = _read(packed), f"{size.scenes} clips of {SECONDS:g} s, in random order"
    row = Case("packed", "the folder itself", ours, _read(files), 0.0, largest, work=work)
    peer_name = "WebDataset, streamed in the order of the shards"
    return [row, *with_library("packed", "webdataset", peer_name, partial(_streamed, packed, row, peer_name))]


def _streamed(packed: Manifest, row: Case, peer_name: str, library: Any) -> list[Case]:
    shards = sorted(str(path) for path in (packed.root / SHARDS).iterdir())

    def peer() -> Result:
        samples = library.WebDataset(shards, shardshuffle=False)
        return _facts({int(each["__key__"]): (each["mp4"], each["wav"]) for each in samples})

    return [Case(row.name, peer_name, row.ours, peer, 0.0, largest, work=row.work)]


def _read(manifest: Manifest) -> Callable[[], Result]:
    order = permutation(len(manifest), 0, 0)

    def read() -> Result:
        spans.clear()
        return _facts({int(index): _files(manifest, int(index)) for index in order})

    return read


def _files(manifest: Manifest, index: int) -> tuple[bytes, bytes]:
    found, row = [], manifest.rows[index]
    for name in (row.video, row.audio):
        with open_regular(manifest.root / name, "media") as file:
            found.append(file.read())
    return found[0], found[1]


def _facts(clips: dict[int, tuple[bytes, bytes]]) -> Result:
    """Lengths and last bytes of all files, by the number of the clip."""
    pairs = [clips[number] for number in sorted(clips)]
    ends = np.frombuffer(b"".join(each[-LOOKED_AT:] for pair in pairs for each in pair), np.uint8)
    return torch.tensor([[len(each) for each in pair] for pair in pairs]), torch.from_numpy(ends.copy())
