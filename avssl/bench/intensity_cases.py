"""Benchmark of the active intensity of a sound field, against spaudiopy's pseudo-intensity."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avssl.bench.case import Case, Result, Row, Size, largest
from avssl.bench.peers import with_library
from avssl.config import FeatureConfig
from avssl.spatial.ambisonics import encode
from avssl.spatial.features import intensity

CONFIG = FeatureConfig()
DIRECTION = 0.7, 0.3
"""Azimuth and elevation of the source, radians."""


def cases(size: Size, folder: Path) -> list[Row]:
    """Direction of arrival of a plane wave of noise over time."""
    peer_name = "spaudiopy pseudo_intensity, a direction a sample"
    return with_library("intensity", "spaudiopy", peer_name, partial(_cases, size, peer_name))


def _cases(size: Size, peer_name: str, spaudiopy: Any) -> list[Case]:
    noise = 0.1 * torch.randn(size.samples, generator=torch.Generator().manual_seed(0))
    foa = encode(noise, *DIRECTION)
    w, y, z, x = foa.double().numpy()
    signals = spaudiopy.sig.AmbiBSignal([w, x, y, z], fs=CONFIG.sample_rate)
    window = torch.hann_window(CONFIG.n_fft)

    def ours() -> Result:
        spectrum = torch.stft(foa, CONFIG.n_fft, CONFIG.hop, window=window, return_complex=True)
        y, z, x = intensity(spectrum).mean((-2, -1))
        return (_unit(torch.stack([x, y, z])),)

    def peer() -> Result:
        azimuth, zenith, length = spaudiopy.parsa.pseudo_intensity(signals)
        vectors = np.stack([np.cos(azimuth) * np.sin(zenith), np.sin(azimuth) * np.sin(zenith), np.cos(zenith)])
        return (_unit(torch.from_numpy((vectors * length).mean(1))),)

    work = f"{size.samples / CONFIG.sample_rate:g} s of a plane wave, {CONFIG.sample_rate} Hz"
    return [Case("intensity", peer_name, ours, peer, 1e-3, largest, work=work, aim=100.0)]


def _unit(vector: torch.Tensor) -> torch.Tensor:
    unit: torch.Tensor = vector / torch.linalg.vector_norm(vector)
    return unit
