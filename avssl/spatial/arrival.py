"""When a sound arrives: the delay in front of an impulse response."""

from __future__ import annotations

import torch
from torch import Tensor

_FINER = 4
"""Instants a sample that are tried, before a parabola through the three best."""
_CHUNK = 512
"""Responses at a time: bounds the memory."""


def arrivals(responses: Tensor) -> Tensor:
    """Time of arrival of each response `(..., taps)` in samples, `(...)`; 0 where all is silent.

    The lag at which the response resembles its minimum-phase twin most (Nam, Abel, Smith: "A method for estimating
    interaural time difference for binaural synthesis", AES 125, 2008): no threshold to tune, steady where the first
    wave front is weak.
    """
    flat = responses.flatten(0, -2)
    return torch.cat([_arrivals(part) for part in torch.split(flat, _CHUNK)]).reshape(responses.shape[:-1])


def minimum_phase(spectrum: Tensor) -> Tensor:
    """Spectrum of the same magnitude whose energy comes as early as possible, `(..., bins)` of an even length.

    Source: Oppenheim and Schafer, Discrete-Time Signal Processing, the folded cepstrum.
    """
    magnitude = spectrum.abs()
    floor = (magnitude.amax(-1, keepdim=True) * 1e-5).clamp(min=torch.finfo(magnitude.dtype).tiny)
    cepstrum = torch.fft.irfft(torch.maximum(magnitude, floor).log())
    half = cepstrum.shape[-1] // 2
    cepstrum[..., 1:half] *= 2
    cepstrum[..., half + 1 :] = 0
    found: Tensor = torch.fft.rfft(cepstrum).exp()
    return found


def _arrivals(responses: Tensor) -> Tensor:
    size = 1 << (4 * responses.shape[-1] - 1).bit_length()
    spectrum = torch.fft.rfft(responses, size)
    likeness = torch.fft.irfft(spectrum * minimum_phase(spectrum).conj(), size * _FINER)
    # A response is causal: lags beyond its own length are wrapped negative ones.
    best = likeness[:, : responses.shape[-1] * _FINER].argmax(-1)
    around = likeness.gather(1, (best[:, None] + torch.tensor([-1, 0, 1], device=best.device)) % (size * _FINER))
    before, top, after = around.unbind(1)
    bend = before - 2 * top + after
    finer = torch.where(bend < 0, (before - after) / (2 * bend), 0.0)
    found: Tensor = (best + finer) / _FINER
    return found
