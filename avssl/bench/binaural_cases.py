"""Benchmark of binaural decoding of first-order ambisonics, against spaudiopy."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from avssl.bench.case import Case, Result, Row, Size, largest
from avssl.bench.peers import with_library
from avssl.spatial.binaural import ambisonic_filters, spherical_head, to_binaural

RATE = 48000


def cases(size: Size, folder: Path) -> list[Row]:
    """Decoding of a recording by the filters of the spherical head."""
    return with_library("binaural", "spaudiopy", "spaudiopy sh2bin", partial(_cases, size))


def _cases(size: Size, spaudiopy: Any) -> list[Case]:
    filters = ambisonic_filters(spherical_head(RATE), "plain")
    samples = round(size.audio_seconds * RATE)
    foa = 0.1 * torch.randn(4, samples, generator=torch.Generator().manual_seed(0))

    def ours() -> Result:
        return (to_binaural(foa, filters),)

    def peer() -> Result:
        return (torch.from_numpy(spaudiopy.decoder.sh2bin(foa.numpy(), filters.numpy())[:, :samples]),)

    work = f"{size.audio_seconds:g} s at {RATE} Hz, {filters.shape[-1]} taps"
    return [Case("binaural", "spaudiopy sh2bin", ours, peer, 1e-4, largest, size.audio_seconds, work, 5.0)]
