"""Distances between predicted and target audio: spectra, envelopes, phases, SNR; and their published variants.

Axes: C channel, F frequency, T time. All functions keep leading axes and are differentiable.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.errors import InputError
from avssl.spatial.energy_map import LEGACY_SCALE
from avssl.spatial.metrics.binaural_error import Interaural, interaural, interaural_error
from avssl.spatial.metrics.direction_error import direction_error
from avssl.spatial.stft import StftConfig

__all__ = [
    "FIELD",
    "Interaural",
    "direction_error",
    "envelope",
    "envelope_distance",
    "interaural",
    "interaural_error",
    "log_spectral_distance",
    "magnitude_distance",
    "peak_normalised",
    "phase_distance",
    "published_field_envelope",
    "published_field_stft",
    "published_mag",
    "published_snr",
    "snr",
    "stft_distance",
]

BINAURAL = StftConfig()
"""STFT of 2.5D Visual Sound and its successors, at 16 kHz."""
FIELD = StftConfig(2048, 2048, 1024, "none")
"""STFT of Morgado et al. 2018, at 48 kHz."""
FLOOR_DB = -100.0
"""Floor of logarithmic spectra, relative to a full-scale sine."""
_LEAST = 1e-20


def stft_distance(predicted: Tensor, target: Tensor, spectrum: StftConfig = BINAURAL, reduce: str = "sum") -> Tensor:
    """STFT distance: squared difference, mean over real and imaginary parts, frequency and time.

    Args:
        predicted: `(..., C, samples)`.
        target: `(..., C, samples)`.
        spectrum: STFT parameters.
        reduce: `sum` over the channels, as in papers on binaural audio, or `mean`.

    Returns:
        `(...)`.

    Raises:
        ValueError: shapes that differ, audio shorter than a window, or unknown `reduce`.
    """
    return reduce_channels(complex_error(*_spectra(predicted, target, spectrum)).mean(-1), reduce)


def magnitude_distance(
    predicted: Tensor, target: Tensor, spectrum: StftConfig = BINAURAL, reduce: str = "sum"
) -> Tensor:
    """Squared difference of STFT magnitudes, mean over frequency and time; see `stft_distance`."""
    return reduce_channels(magnitude_error(*_spectra(predicted, target, spectrum)).mean(-1), reduce)


def published_mag(predicted: Tensor, target: Tensor, spectrum: StftConfig = BINAURAL, reduce: str = "sum") -> Tensor:
    """Mag of Xu et al. 2021: squared magnitude of the complex difference, twice the STFT distance."""
    return 2 * stft_distance(predicted, target, spectrum, reduce)


def phase_distance(predicted: Tensor, target: Tensor, spectrum: StftConfig = BINAURAL) -> Tensor:
    """Phase distance of left minus right (Xu et al. 2021), mean over frequency and time.

    Identical channels have a zero difference, whose phase counts as 0: their distance from other audio is pi / 2.

    Args:
        predicted: `(..., 2, samples)`, left and right.
        target: `(..., 2, samples)`.
        spectrum: STFT parameters.

    Returns:
        Radians, `(...)`, in 0..pi.

    Raises:
        ValueError: not two channels, shapes that differ, or audio shorter than a window.
    """
    if predicted.shape[-2] != 2:
        raise ValueError(f"expected 2 channels, left and right, for a phase distance, got {predicted.shape[-2]}")
    return phase_error(*_spectra(predicted, target, spectrum)).mean(-1)


def log_spectral_distance(
    predicted: Tensor, target: Tensor, spectrum: StftConfig = BINAURAL, reduce: str = "mean"
) -> Tensor:
    """Root mean square over frequency of the level difference in dB, mean over time; see `stft_distance`."""
    least = floor(spectrum)
    return reduce_channels(log_error(*_spectra(predicted, target, spectrum), least).mean(-1), reduce)


def envelope_distance(predicted: Tensor, target: Tensor, reduce: str = "sum") -> Tensor:
    """Root mean square difference of the envelopes of each channel, sum or mean over the channels.

    Args:
        predicted: `(..., C, samples)`.
        target: `(..., C, samples)`.
        reduce: `sum` or `mean`.

    Returns:
        `(...)`.

    Raises:
        ValueError: shapes that differ, or unknown `reduce`.
    """
    require_same_shape(predicted, target)
    squares = (envelope(predicted) - envelope(target)).square().mean(-1)
    # The root of 0 has no gradient.
    return reduce_channels(squares.clamp(min=_LEAST).sqrt(), reduce)


def envelope(audio: Tensor) -> Tensor:
    """Magnitude of the analytic signal of `(..., samples)`, as by `scipy.signal.hilbert`."""
    # The bins at 0 Hz and Nyquist become imaginary, and are dropped by `irfft`.
    quadrature: Tensor = torch.fft.irfft(-1j * torch.fft.rfft(audio), audio.shape[-1])
    magnitude: Tensor = (audio.square() + quadrature.square()).clamp(min=1e-30).sqrt()
    return magnitude


def snr(predicted: Tensor, target: Tensor) -> Tensor:
    """Signal-to-noise ratio over all channels in dB, at most 200: `(...)`."""
    return ratio_db(target.square().mean((-2, -1)), _difference(predicted, target).square().mean((-2, -1)))


def published_snr(predicted: Tensor, target: Tensor) -> Tensor:
    """`snr` of Xu et al. 2021, with 1e-4 added to both means: nearly 0 for a quiet target."""
    signal, noise = target.square().mean((-2, -1)), _difference(predicted, target).square().mean((-2, -1))
    return 10 * ((signal + 1e-4) / (noise + 1e-4)).log10()


def peak_normalised(audio: Tensor) -> Tensor:
    """Normalise `(..., C, samples)` to a peak of 1 over all channels, as in some papers; silence is unchanged."""
    peak = audio.abs().amax((-2, -1), keepdim=True)
    return audio / torch.where(peak > 0, peak, 1.0)


def published_field_stft(predicted: Tensor, target: Tensor) -> Tensor:
    """STFT distance of Morgado et al. 2018: squared magnitude over both sidebands, mean over channels, x 100."""
    power = _difference(*_spectra(predicted, target, FIELD)).abs().square()
    both = torch.cat([power, power[..., 1:-1, :]], -2)
    return 100 * both.mean((-3, -2, -1))


def published_field_envelope(predicted: Tensor, target: Tensor) -> Tensor:
    """Envelope distance of Morgado et al. 2018: mean over channels, times the root of 4,800."""
    return LEGACY_SCALE * envelope_distance(predicted, target, "mean")


def complex_error(predicted_CFT: Tensor, target_CFT: Tensor) -> Tensor:
    """Per window: mean over frequency, real and imaginary part of the squared difference, `(..., C, T)`."""
    return (predicted_CFT - target_CFT).abs().square().mean(-2) / 2


def magnitude_error(predicted_CFT: Tensor, target_CFT: Tensor) -> Tensor:
    """Per window: mean over frequency of the squared difference of magnitudes, `(..., C, T)`."""
    return (predicted_CFT.abs() - target_CFT.abs()).square().mean(-2)


def phase_error(predicted_CFT: Tensor, target_CFT: Tensor) -> Tensor:
    """Per window: mean over frequency of the angle between the phases of left minus right, `(..., T)`."""
    first, second = (_side(spectrum).angle() for spectrum in (predicted_CFT, target_CFT))
    difference = (first - second).abs()
    return torch.minimum(difference, 2 * math.pi - difference).mean(-2)


def log_error(predicted_CFT: Tensor, target_CFT: Tensor, least: float) -> Tensor:
    """Per window: root mean square over frequency of the difference in dB, power floored at `least`, `(..., C, T)`."""
    first, second = (10 * spectrum.abs().square().clamp(min=least).log10() for spectrum in (predicted_CFT, target_CFT))
    return (first - second).square().mean(-2).clamp(min=_LEAST).sqrt()


def floor(spectrum: StftConfig) -> float:
    """Power of a bin at `FLOOR_DB` relative to a full-scale sine."""
    return float((spectrum.window_length / 4) ** 2 * 10 ** (FLOOR_DB / 10))


def ratio_db(signal: Tensor, noise: Tensor) -> Tensor:
    """Ratio of two energies in dB, within -200 and 200."""
    least = _LEAST * torch.maximum(signal, noise).clamp(min=_LEAST)
    return 10 * ((signal + least).log10() - (noise + least).log10())


def reduce_channels(values: Tensor, reduce: str) -> Tensor:
    """Sum or mean of `(..., C)` over the channels.

    Raises:
        ValueError: unknown `reduce`.
    """
    if reduce not in ("sum", "mean"):
        raise InputError(f"expected reduce 'sum' or 'mean', got {reduce!r}")
    return values.sum(-1) if reduce == "sum" else values.mean(-1)


def require_same_shape(predicted: Tensor, target: Tensor) -> None:
    """Check that two clips can be compared.

    Raises:
        ValueError: they differ in shape, or are not `(..., channels, samples)`.
    """
    if predicted.shape != target.shape or predicted.ndim < 2:
        raise ValueError(
            f"expected two clips (..., channels, samples) of one shape, got {tuple(predicted.shape)} and "
            f"{tuple(target.shape)}"
        )


def _difference(predicted: Tensor, target: Tensor) -> Tensor:
    require_same_shape(predicted, target)
    return predicted - target


def _side(spectrum_CFT: Tensor) -> Tensor:
    # The phase of -0 is pi.
    return spectrum_CFT[..., 0, :, :] - spectrum_CFT[..., 1, :, :] + 0.0


def _spectra(predicted: Tensor, target: Tensor, spectrum: StftConfig) -> tuple[Tensor, Tensor]:
    require_same_shape(predicted, target)
    return spectrum.stft(predicted), spectrum.stft(target)
