"""Spectra on a logarithmic axis of frequency, where an octave is as high everywhere, and masks back from there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avssl.errors import InputError

# F bins of frequency, K bands, T time


class LogFrequency(nn.Module):
    """Bins to bands that are evenly spaced in the logarithm of frequency, and back.

    Where bands are further apart than bins, a band is the mean of the bins around it, weighted by a triangle; where
    they are closer, bins are interpolated. Weights add up to 1 both ways, so that what is constant stays as it is.

    Args:
        bins: of the spectrum, from 0 Hz to half the sample rate.
        bands: of the new axis; the lowest is bin `lowest`, the highest the last bin.
        lowest: bin of the first band; at least 1, as 0 Hz has no logarithm.

    Raises:
        ValueError: fewer than two bands, or a lowest bin outside the spectrum.
    """

    forth: Tensor
    back: Tensor

    def __init__(self, bins: int, bands: int, lowest: float = 1.0) -> None:
        super().__init__()
        if bands < 2 or not 1 <= lowest < bins - 1:
            raise InputError(
                f"a logarithmic axis needs at least 2 bands and a lowest bin in 1..{bins - 2}, not {bands} bands "
                f"from bin {lowest}"
            )
        self.bands = bands
        self.register_buffer("forth", _triangles(bins, centres(bins, bands, lowest)), persistent=False)
        self.register_buffer("back", _interpolation(bins, bands, lowest), persistent=False)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Real `(..., F, T)`, such as magnitudes, to `(..., K, T)`."""
        return self.forth @ spectrum

    def inverse(self, mask: Tensor) -> Tensor:
        """Real `(..., K, T)`, such as a mask, to `(..., F, T)`."""
        return self.back @ mask


def centres(bins: int, bands: int, lowest: float = 1.0) -> Tensor:
    """Where bands lie, in bins, `(bands,)` float64."""
    return lowest * ((bins - 1) / lowest) ** torch.linspace(0, 1, bands, dtype=torch.float64)


def _triangles(bins: int, centre: Tensor) -> Tensor:
    """`(K, F)`; a triangle of half-width 1 is linear interpolation between two bins."""
    spacing = torch.gradient(centre)[0].clamp(min=1)
    weight = (1 - (torch.arange(bins) - centre[:, None]).abs() / spacing[:, None]).clamp(min=0)
    return (weight / weight.sum(1, keepdim=True)).float()


def _interpolation(bins: int, bands: int, lowest: float) -> Tensor:
    """`(F, K)`; what lies below the first band is taken from it."""
    log = torch.log(torch.arange(bins, dtype=torch.float64).clamp(min=lowest) / lowest)
    place = log / log[-1] * (bands - 1)
    return (1 - (place[:, None] - torch.arange(bands)).abs()).clamp(min=0).float()
