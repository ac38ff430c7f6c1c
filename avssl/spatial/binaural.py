"""Sound for two ears: of one source, still or moving, and of a whole first-order field."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import fold, pad

from avssl.errors import InputError
from avssl.spatial.ambisonics import Angle
from avssl.spatial.hrir import HrirSet
from avssl.spatial.magls import ambisonic_filters, to_binaural
from avssl.spatial.spherical_head import SPEED_OF_SOUND, spherical_head

__all__ = ["HrirSet", "ambisonic_filters", "render", "spherical_head", "to_binaural"]

_STEP = 0.005
"""Seconds between the directions that a moving source is filtered for; they cross-fade from one to the next."""
_SEGMENT = 1000
"""Steps at a time: bounds the memory."""
_TAPS, _PHASES = 24, 16384
"""Of the windowed sinc that reads a signal between its samples."""


def render(signal: Tensor, azimuth: Angle, elevation: Angle, hrirs: HrirSet, distance: Angle | None = None) -> Tensor:
    """What two ears hear of a source.

    A source that stands still is the full convolution with its responses, cut to the signal's length: onsets stay. One
    that moves has its times of arrival follow it sample by sample, and its aligned responses cross-fade every 5 ms.

    Args:
        signal: `(samples,)`, at the rate of `hrirs`.
        azimuth: radians, left is +; a number, or `(samples,)` for a moving source.
        elevation: likewise.
        hrirs: of the listener: `spherical_head(rate)`, or those of a file `.at(rate)`.
        distance: metres, a number or `(samples,)`: the level falls as 1 / distance and the sound takes its time, with
            the Doppler shift of a moving source. Without it, as loud as at 1 m, without travel.

    Returns:
        `(2, samples)`: left, right.

    Raises:
        ValueError: a signal that is not `(samples,)`, a path of another length, angles that are no numbers, or a
            distance that is not above 0.
    """
    if signal.ndim != 1 or not len(signal):
        raise ValueError(f"a source's signal is (samples,) and not empty, this is {tuple(signal.shape)}")
    across, up, far = (_path(each, signal) for each in (azimuth, elevation, 1.0 if distance is None else distance))
    if not bool((far > 0).all()):
        raise InputError("a source's distance is a number of metres above 0")
    if distance is None and len(across) == len(up) == 1:
        return convolve(signal, hrirs.between.responses(across, up)[0])
    travel = torch.zeros(1).double() if distance is None else far / SPEED_OF_SOUND * hrirs.sample_rate
    paths = torch.stack([each.expand(len(signal)) for each in (across, up, travel)])
    # Aligned responses are late and their delays negative: what they read ahead of the beginning is not to be lost.
    ahead = math.ceil(-float(hrirs.between.delays.min()))
    early = paths[:, :1].expand(3, ahead)
    return _move(pad(signal, (ahead, 0)), torch.cat([early, paths], 1), hrirs)[:, ahead:] / far.to(signal)


def convolve(signal: Tensor, filters: Tensor) -> Tensor:
    """Filter `(samples,)` by each of `(filters, taps)`: `(filters, samples)`, the onset kept and the tail cut."""
    size = 1 << (len(signal) + filters.shape[-1] - 1).bit_length()
    spectrum = torch.fft.rfft(signal, size) * torch.fft.rfft(filters.to(signal), size)
    heard: Tensor = torch.fft.irfft(spectrum, size)
    return heard[..., : len(signal)]


def _path(value: Angle, signal: Tensor) -> Tensor:
    """float64 `(1,)` or `(samples,)`."""
    path = torch.as_tensor(value, dtype=torch.float64, device="cpu").reshape(-1)
    if len(path) not in (1, len(signal)):
        raise InputError(f"a path has one value a sample: expected {len(signal)}, got {len(path)}")
    if not bool(path.isfinite().all()):
        raise InputError("a path is made of finite numbers, here are others")
    return path


def _move(signal: Tensor, paths: Tensor, hrirs: HrirSet) -> Tensor:
    """Left and right of a moving source; `paths` are azimuth, elevation and delay on the way, `(3, samples)`."""
    hop = max(8, round(_STEP * hrirs.sample_rate))
    total = signal.new_zeros(2, len(signal) + hop)
    for begin in range(0, len(signal), _SEGMENT * hop):
        end = min(begin + _SEGMENT * hop, len(signal))
        at = torch.arange(begin, end + hop, hop).clamp(max=len(signal) - 1)
        delays, filters = hrirs.between.towards(paths[0, at], paths[1, at])
        instants = torch.arange(begin, end) - paths[2, begin:end] - _gliding(delays, hop)[:, : end - begin]
        heard = _faded(_read(signal, instants.to(signal.device)), filters.to(signal), hop)[:, : total.shape[1] - begin]
        total[:, begin : begin + heard.shape[1]] += heard
    return total[:, : len(signal)]


def _gliding(values: Tensor, hop: int) -> Tensor:
    """Values `(steps, ears)` every `hop` samples, joined by straight lines: `(ears, samples)`."""
    share = torch.arange(hop, dtype=values.dtype) / hop
    start, rise = values[:-1].T, values.diff(dim=0).T
    return (start[..., None] + rise[..., None] * share).flatten(1)


def _read(signal: Tensor, instants: Tensor) -> Tensor:
    """Values of a signal `(samples,)` between its samples: float64 `(ears, samples)`, silent before and after."""
    whole = instants.floor()
    phase = ((instants - whole) * _PHASES).round().long()
    first = (whole.long() + _TAPS // 2 + 1).clamp(0, len(signal) + _TAPS)
    windows = pad(signal, (_TAPS, _TAPS)).unfold(0, _TAPS, 1)
    return (windows[first] * _sinc().to(signal)[phase]).sum(-1)


@lru_cache(maxsize=1)
def _sinc() -> Tensor:
    """`(phases + 1, taps)`: weights of the samples around an instant, Kaiser-windowed."""
    place = torch.arange(1 - _TAPS // 2, _TAPS // 2 + 1) - torch.linspace(0, 1, _PHASES + 1).double()[:, None]
    window = torch.special.i0(6.0 * (1 - (place / (_TAPS / 2 + 1)) ** 2).sqrt())
    weights: Tensor = torch.sinc(place) * window
    weights /= weights.sum(1, keepdim=True)
    return weights.float()


def _faded(heard: Tensor, filters: Tensor, hop: int) -> Tensor:
    """Filter `(ears, samples)` by `(steps, ears, taps)`, one filter every `hop` samples fading into the next."""
    steps, _, taps = filters.shape
    size = 1 << (2 * hop + taps - 2).bit_length()
    fade = 1 - torch.arange(1 - hop, hop, dtype=heard.dtype, device=heard.device).abs() / hop
    padded = pad(heard, (hop - 1, steps * hop - heard.shape[1]))
    blocks = padded.unfold(1, 2 * hop - 1, hop)[:, :steps] * fade
    spectrum = torch.fft.rfft(blocks, size) * torch.fft.rfft(filters, size).transpose(0, 1)
    pieces = torch.fft.irfft(spectrum, size).transpose(1, 2)
    length = (steps - 1) * hop + size
    return fold(pieces, (1, length), (1, size), stride=(1, hop))[:, 0, 0, hop - 1 :]
