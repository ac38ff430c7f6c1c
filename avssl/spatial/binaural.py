"""Binaural rendering: of a point source by HRIRs, and of first-order ambisonics by MagLS filters."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import fold, pad

from avssl.errors import InputError
from avssl.spatial.ambisonics import Angle, gains, require_foa
from avssl.spatial.energy_map import equal_area_grid
from avssl.spatial.hrir import HrirSet
from avssl.spatial.hrir_interpolation import times_of_arrival
from avssl.spatial.spherical_head import SPEED_OF_SOUND, spherical_head

__all__ = ["HrirSet", "ambisonic_filters", "render", "spherical_head", "to_binaural"]

_STEP = 0.005
"""Seconds between the filter updates of a moving source; consecutive filters are cross-faded."""
_CHUNK = 1000
"""Steps per chunk: bounds the memory."""
_TAPS, _PHASES = 24, 16384
"""Taps and phases of the windowed sinc that interpolates between samples."""
_GRID_POINTS = 500
"""Directions that the filters are fitted to; as many mirrored ones are added, so that left and right are symmetric."""
_ALIASING_FREQUENCY = 624.0
"""Hz; spatial aliasing frequency of order 1 for a head: k r = 1 at r = 8.75 cm."""
_BLOCK = 2048
_BLOCKS_AT_ONCE = 16
"""Blocks whose spectra stay in cache."""


def render(signal: Tensor, azimuth: Angle, elevation: Angle, hrirs: HrirSet, distance: Angle | None = None) -> Tensor:
    """Render a point source binaurally.

    A static source is the full convolution with its HRIRs, cut to the signal's length: onsets are kept. For a moving
    source the times of arrival follow it sample by sample, and aligned HRIRs are cross-faded every 5 ms.

    Args:
        signal: `(samples,)`, at the sample rate of `hrirs`.
        azimuth: radians, left is +; a number, or `(samples,)` for a moving source.
        elevation: radians, up is +; a number, or `(samples,)` for a moving source.
        hrirs: `spherical_head(sample_rate)`, or those of a file, `.resample(sample_rate)`.
        distance: metres, a number or `(samples,)`: adds 1 / distance attenuation and propagation delay, with the
            Doppler shift of a moving source. None: the level at 1 m, without delay.

    Returns:
        `(2, samples)`: left, right.

    Raises:
        ValueError: signal not `(samples,)`, path of another length, angles not finite, or distance not above 0.
    """
    if signal.ndim != 1 or not len(signal):
        raise ValueError(f"expected a non-empty source signal (samples,), got {tuple(signal.shape)}")
    azimuths, elevations, metres = (
        _path(each, signal) for each in (azimuth, elevation, 1.0 if distance is None else distance)
    )
    if not bool((metres > 0).all()):
        raise InputError(f"expected a source distance above 0 m, got {float(metres.min())}")
    if distance is None and len(azimuths) == len(elevations) == 1:
        return convolve(signal, hrirs.interpolator.responses(azimuths, elevations)[0])
    delay = torch.zeros(1).double() if distance is None else metres / SPEED_OF_SOUND * hrirs.sample_rate
    paths = torch.stack([each.expand(len(signal)) for each in (azimuths, elevations, delay)])
    # Aligned HRIRs are late and their delays negative: the signal starts this much later, so that no onset is cut.
    lead = math.ceil(-float(hrirs.interpolator.delays.min()))
    start = paths[:, :1].expand(3, lead)
    return _render_moving(pad(signal, (lead, 0)), torch.cat([start, paths], 1), hrirs)[:, lead:] / metres.to(signal)


def convolve(signal: Tensor, filters: Tensor) -> Tensor:
    """Filter `(samples,)` by each of `(filters, taps)`: `(filters, samples)`, onset kept, tail cut."""
    size = 1 << (len(signal) + filters.shape[-1] - 1).bit_length()
    spectrum = torch.fft.rfft(signal, size) * torch.fft.rfft(filters.to(signal), size)
    filtered: Tensor = torch.fft.irfft(spectrum, size)
    return filtered[..., : len(signal)]


def _path(value: Angle, signal: Tensor) -> Tensor:
    """float64 `(1,)` or `(samples,)`."""
    path = torch.as_tensor(value, dtype=torch.float64, device="cpu").reshape(-1)
    if len(path) not in (1, len(signal)):
        raise InputError(f"expected a source path with one value a sample, {len(signal)}, got {len(path)}")
    if not bool(path.isfinite().all()):
        raise InputError("expected a source path of finite numbers, got NaN or Inf")
    return path


def _render_moving(signal: Tensor, paths: Tensor, hrirs: HrirSet) -> Tensor:
    """Binaural signal `(2, samples)` of a moving source; paths `(3, samples)`: azimuth, elevation, delay in samples."""
    hop = max(8, round(_STEP * hrirs.sample_rate))
    total = signal.new_zeros(2, len(signal) + hop)
    for begin in range(0, len(signal), _CHUNK * hop):
        end = min(begin + _CHUNK * hop, len(signal))
        steps = torch.arange(begin, end + hop, hop).clamp(max=len(signal) - 1)
        delays, filters = hrirs.interpolator.delays_and_aligned(paths[0, steps], paths[1, steps])
        positions = torch.arange(begin, end) - paths[2, begin:end] - _interpolate(delays, hop)[:, : end - begin]
        delayed = _read(signal, positions.to(signal.device))
        filtered = _filter_crossfaded(delayed, filters.to(signal), hop)[:, : total.shape[1] - begin]
        total[:, begin : begin + filtered.shape[1]] += filtered
    return total[:, : len(signal)]


def _interpolate(values: Tensor, hop: int) -> Tensor:
    """Linear interpolation of values `(steps, ears)` that are `hop` samples apart: `(ears, samples)`."""
    fraction = torch.arange(hop, dtype=values.dtype) / hop
    start, rise = values[:-1].T, values.diff(dim=0).T
    return (start[..., None] + rise[..., None] * fraction).flatten(1)


def _read(signal: Tensor, positions: Tensor) -> Tensor:
    """Values of a signal `(samples,)` at fractional positions `(ears, samples)`, float64; zero outside the signal."""
    whole = positions.floor()
    phase = ((positions - whole) * _PHASES).round().long()
    first = (whole.long() + _TAPS // 2 + 1).clamp(0, len(signal) + _TAPS)
    windows = pad(signal, (_TAPS, _TAPS)).unfold(0, _TAPS, 1)
    return (windows[first] * _sinc().to(signal)[phase]).sum(-1)


@lru_cache(maxsize=1)
def _sinc() -> Tensor:
    """Kaiser-windowed sinc `(phases + 1, taps)`: weights of the samples around a fractional position."""
    offset = torch.arange(1 - _TAPS // 2, _TAPS // 2 + 1) - torch.linspace(0, 1, _PHASES + 1).double()[:, None]
    window = torch.special.i0(6.0 * (1 - (offset / (_TAPS / 2 + 1)) ** 2).sqrt())
    weights: Tensor = torch.sinc(offset) * window
    weights /= weights.sum(1, keepdim=True)
    return weights.float()


def _filter_crossfaded(signals: Tensor, filters: Tensor, hop: int) -> Tensor:
    """Filter `(ears, samples)` by `(steps, ears, taps)`, `hop` samples a step, each filter cross-faded to the next."""
    steps, _, taps = filters.shape
    size = 1 << (2 * hop + taps - 2).bit_length()
    fade = 1 - torch.arange(1 - hop, hop, dtype=signals.dtype, device=signals.device).abs() / hop
    padded = pad(signals, (hop - 1, steps * hop - signals.shape[1]))
    blocks = padded.unfold(1, 2 * hop - 1, hop)[:, :steps] * fade
    spectrum = torch.fft.rfft(blocks, size) * torch.fft.rfft(filters, size).transpose(0, 1)
    filtered = torch.fft.irfft(spectrum, size).transpose(1, 2)
    length = (steps - 1) * hop + size
    return fold(filtered, (1, length), (1, size), stride=(1, hop))[:, 0, 0, hop - 1 :]


def ambisonic_filters(hrirs: HrirSet, method: str = "magls") -> Tensor:
    """Binaural decoding filters for first-order ambisonics (ambiX W, Y, Z, X; SN3D).

    Args:
        hrirs: HRIR set.
        method: "plain" fits the HRIRs by least squares, which loses level above 624 Hz, where four channels do not
            suffice. "magls" fits their magnitudes there and continues the phase smoothly: Schörkhuber, Zaunschirm,
            Höldrich, "Binaural rendering of Ambisonic signals via magnitude least squares", DAGA 2018.

    Returns:
        float32 `(2, 4, taps)`: left, right.

    Raises:
        ValueError: unknown method.
    """
    if method not in ("magls", "plain"):
        raise InputError(f"expected the binaural decoding method 'magls' or 'plain', got {method!r}")
    azimuth, elevation = equal_area_grid(_GRID_POINTS)
    azimuth, elevation = torch.cat([azimuth, -azimuth]), elevation.repeat(2)
    target, encoding = hrirs.interpolator.responses(azimuth, elevation), gains(azimuth, elevation).double()
    inverse = torch.linalg.pinv(encoding)
    plain = torch.einsum("cp,pet->ect", inverse, target.double())
    if method == "plain":
        return plain.float()
    return _magnitude_least_squares(plain, target, encoding, inverse, hrirs.sample_rate).float()


def _magnitude_least_squares(
    plain: Tensor, target: Tensor, encoding: Tensor, inverse: Tensor, sample_rate: int
) -> Tensor:
    """Filters `(2, 4, taps)` with the magnitudes of `target` `(points, 2, taps)` above the aliasing frequency."""
    taps = plain.shape[-1]
    size = 4 << (taps - 1).bit_length()
    frequency = torch.fft.rfftfreq(size, 1 / sample_rate).double()
    # With the mean time of arrival removed, a constant phase has the right delay.
    arrival = times_of_arrival(target).double().mean(0)
    advance = torch.polar(torch.ones(2, 1).double(), 2 * math.pi / sample_rate * frequency * arrival[:, None])
    filters = torch.fft.rfft(plain, size) * advance[:, None]
    magnitude = torch.fft.rfft(target.double(), size).abs()
    encoding, inverse = encoding.to(filters.dtype), inverse.to(filters.dtype)
    for bin in range(max(1, math.ceil(_ALIASING_FREQUENCY / sample_rate * size)), len(frequency)):
        phase = torch.einsum("pc,ec->pe", encoding, filters[..., bin - 1]).angle()
        filters[..., bin] = torch.einsum("cp,pe->ec", inverse, torch.polar(magnitude[..., bin], phase))
    return _truncate(torch.fft.irfft(filters * advance[:, None].conj(), size), taps)


def _truncate(filters: Tensor, taps: int) -> Tensor:
    """First taps of the filters, with a fade-out."""
    window = filters.new_ones(taps)
    fade = min(16, taps // 4)
    window[taps - fade :] = torch.cos(torch.linspace(0, 0.5 * math.pi, fade).to(filters)).square()
    return filters[..., :taps] * window


def to_binaural(foa: Tensor, filters: Tensor) -> Tensor:
    """Decode first-order ambisonics to binaural: convolution cut to the input's length, by overlap-save.

    Args:
        foa: `(..., 4, samples)`, ambiX order W, Y, Z, X, at the sample rate of the filters.
        filters: `(2, 4, taps)`, from `ambisonic_filters`.

    Returns:
        `(..., 2, samples)`: left, right.

    Raises:
        ValueError: not 4 channels, or filters of another shape.
    """
    require_foa(foa)
    if filters.ndim != 3 or filters.shape[:2] != (2, 4):
        raise ValueError(f"expected binaural filters (2, 4, taps), got {tuple(filters.shape)}")
    samples, taps = foa.shape[-1], filters.shape[-1]
    size = max(_BLOCK, 4 << (taps - 1).bit_length())
    step = size - taps + 1
    blocks = pad(foa, (taps - 1, -samples % step)).unfold(-1, size, step)
    filters_ECF = torch.fft.rfft(filters.to(foa), size)
    filtered = [_filtered(part, filters_ECF)[..., taps - 1 :] for part in torch.split(blocks, _BLOCKS_AT_ONCE, -2)]
    return torch.cat(filtered, -2).flatten(-2)[..., :samples]


def _filtered(blocks: Tensor, filters_ECF: Tensor) -> Tensor:
    """Blocks `(..., C, N, samples)` by spectra of filters, cyclically: `(..., E, N, samples)`."""
    # E ear, C channel, N block, F frequency
    blocks_CENF, filters_CEF = torch.fft.rfft(blocks).movedim(-3, 0).unsqueeze(-3), filters_ECF.transpose(0, 1)
    ears = blocks_CENF[0] * filters_CEF[0].unsqueeze(-2)
    for channel, weights in zip(blocks_CENF[1:], filters_CEF[1:], strict=True):
        ears = torch.addcmul(ears, channel, weights.unsqueeze(-2))
    filtered: Tensor = torch.fft.irfft(ears, blocks.shape[-1])
    return filtered
