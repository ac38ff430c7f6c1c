"""Logarithmic frequency axis: spectra to bands of equal width in octaves, and masks back to bins."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avssl.errors import InputError

# F frequency bins, K bands, T time


class LogFrequency(nn.Module):
    """Maps bins to bands that are evenly spaced in log frequency, and back.

    Where bands are wider than bins, a band is the mean of bins with triangular weights; where they are narrower, bins
    are interpolated linearly. Weights sum to 1 in both directions, so a constant is preserved.

    Args:
        bins: F, of the spectrum, from 0 Hz to the Nyquist frequency.
        bands: K; the first is bin `min_bin`, the last one the last bin.
        min_bin: bin of the first band; at least 1, since 0 Hz has no logarithm.

    Raises:
        ValueError: fewer than two bands, or `min_bin` outside the spectrum.
    """

    forth: Tensor
    back: Tensor

    def __init__(self, bins: int, bands: int, min_bin: float = 1.0) -> None:
        super().__init__()
        if bands < 2 or not 1 <= min_bin < bins - 1:
            raise InputError(
                f"expected at least 2 bands and a min_bin of 1 to {bins - 2}, got {bands} bands from bin {min_bin}"
            )
        self.bands = bands
        self.register_buffer("forth", _triangles(bins, band_centres(bins, bands, min_bin)), persistent=False)
        self.register_buffer("back", _interpolation(bins, bands, min_bin), persistent=False)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Real `(..., F, T)`, such as magnitudes, to `(..., K, T)`."""
        return self.forth @ spectrum

    def inverse(self, mask: Tensor) -> Tensor:
        """Real `(..., K, T)`, such as a mask, to `(..., F, T)`."""
        return self.back @ mask


def band_centres(bins: int, bands: int, min_bin: float = 1.0) -> Tensor:
    """Centres of the bands, in bins, `(bands,)` float64."""
    return min_bin * ((bins - 1) / min_bin) ** torch.linspace(0, 1, bands, dtype=torch.float64)


def _triangles(bins: int, centre: Tensor) -> Tensor:
    """`(K, F)`; a triangle of half-width 1 is linear interpolation between two bins."""
    spacing = torch.gradient(centre)[0].clamp(min=1)
    weight = (1 - (torch.arange(bins) - centre[:, None]).abs() / spacing[:, None]).clamp(min=0)
    return (weight / weight.sum(1, keepdim=True)).float()


def _interpolation(bins: int, bands: int, min_bin: float) -> Tensor:
    """`(F, K)`; bins below the first band take its value."""
    log = torch.log(torch.arange(bins, dtype=torch.float64).clamp(min=min_bin) / min_bin)
    position = log / log[-1] * (bands - 1)
    return (1 - (position[:, None] - torch.arange(bands)).abs()).clamp(min=0).float()
