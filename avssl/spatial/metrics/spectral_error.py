"""How far a predicted sound is from the true one: spectra, envelopes, phases, levels; and the published forms of it.

Axes: C channel, F frequency, T time. Everything keeps leading axes and has a gradient.
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
"""Of 2.5D Visual Sound and its successors, at 16 kHz."""
FIELD = StftConfig(2048, 2048, 1024, "none")
"""Of Morgado et al. 2018, at 48 kHz."""
FLOOR_DB = -100.0
"""Below a sine of full scale: what is quieter counts as this quiet in logarithms."""
_LEAST = 1e-20


def stft_distance(predicted: Tensor, target: Tensor, spectrum: StftConfig = BINAURAL, reduce: str = "sum") -> Tensor:
    """Squared difference of spectra, the mean over real and imaginary parts, frequency and time.

    Args:
        predicted: `(..., C, samples)`.
        target: likewise.
        spectrum: sizes of the windows.
        reduce: `sum` over the channels, as papers on binaural sound have it, or `mean`.

    Returns:
        `(...)`.

    Raises:
        ValueError: shapes that differ, a sound shorter than a window, or another `reduce`.
    """
    return reduced(complex_error(*_spectra(predicted, target, spectrum)).mean(-1), reduce)


def magnitude_distance(
    predicted: Tensor, target: Tensor, spectrum: StftConfig = BINAURAL, reduce: str = "sum"
) -> Tensor:
    """Squared difference of the magnitudes of spectra, the mean over frequency and time; see `stft_distance`."""
    return reduced(magnitude_error(*_spectra(predicted, target, spectrum)).mean(-1), reduce)


def published_mag(predicted: Tensor, target: Tensor, spectrum: StftConfig = BINAURAL, reduce: str = "sum") -> Tensor:
    """What Xu et al. 2021 print as Mag: the squared modulus of the complex difference, twice the STFT distance."""
    return 2 * stft_distance(predicted, target, spectrum, reduce)


def phase_distance(predicted: Tensor, target: Tensor, spectrum: StftConfig = BINAURAL) -> Tensor:
    """Difference of the phases of left minus right (Xu et al. 2021), the mean over frequency and time.

    One channel copied to both ears has no difference, its phase counts as 0, and its distance from anything is pi / 2.

    Args:
        predicted: `(..., 2, samples)`, left and right.
        target: likewise.
        spectrum: sizes of the windows.

    Returns:
        Radians, `(...)`, in 0..pi.

    Raises:
        ValueError: not two channels, shapes that differ, or a sound shorter than a window.
    """
    if predicted.shape[-2] != 2:
        raise ValueError(f"a phase difference is that of 2 channels, left and right, these are {predicted.shape[-2]}")
    return phase_error(*_spectra(predicted, target, spectrum)).mean(-1)


def log_spectral_distance(
    predicted: Tensor, target: Tensor, spectrum: StftConfig = BINAURAL, reduce: str = "mean"
) -> Tensor:
    """Root mean square over frequency of the difference of levels in dB, the mean over time; see `stft_distance`."""
    least = floor(spectrum)
    return reduced(log_error(*_spectra(predicted, target, spectrum), least).mean(-1), reduce)


def envelope_distance(predicted: Tensor, target: Tensor, reduce: str = "sum") -> Tensor:
    """Root mean square difference of the envelopes of each channel, summed over the channels or their mean.

    Args:
        predicted: `(..., C, samples)`.
        target: likewise.
        reduce: `sum` or `mean`.

    Returns:
        `(...)`.

    Raises:
        ValueError: shapes that differ, or another `reduce`.
    """
    require_same(predicted, target)
    squares = (envelope(predicted) - envelope(target)).square().mean(-1)
    # The root of 0 has no gradient.
    return reduced(squares.clamp(min=_LEAST).sqrt(), reduce)


def envelope(audio: Tensor) -> Tensor:
    """Modulus of the analytic signal of the whole of a sound `(..., samples)`, as `scipy.signal.hilbert` has it."""
    # What is left at 0 Hz and at Nyquist's frequency is imaginary, and dropped.
    quadrature: Tensor = torch.fft.irfft(-1j * torch.fft.rfft(audio), audio.shape[-1])
    modulus: Tensor = (audio.square() + quadrature.square()).clamp(min=1e-30).sqrt()
    return modulus


def snr(predicted: Tensor, target: Tensor) -> Tensor:
    """Energy of the target over that of the difference, over all channels, in dB, at most 200: `(...)`."""
    return ratio_db(target.square().mean((-2, -1)), _difference(predicted, target).square().mean((-2, -1)))


def published_snr(predicted: Tensor, target: Tensor) -> Tensor:
    """`snr` as Xu et al. 2021 have it, with 1e-4 added to both means: nearly 0 for a quiet target."""
    wanted, wrong = target.square().mean((-2, -1)), _difference(predicted, target).square().mean((-2, -1))
    return 10 * ((wanted + 1e-4) / (wrong + 1e-4)).log10()


def peak_normalised(audio: Tensor) -> Tensor:
    """A sound `(..., C, samples)` with the highest peak of all channels at 1, as some papers measure; silence stays."""
    peak = audio.abs().amax((-2, -1), keepdim=True)
    return audio / torch.where(peak > 0, peak, 1.0)


def published_field_stft(predicted: Tensor, target: Tensor) -> Tensor:
    """STFT distance as Morgado et al. 2018 print it: squared modulus over both sidebands, mean over channels, x 100."""
    modulus = _difference(*_spectra(predicted, target, FIELD)).abs().square()
    both = torch.cat([modulus, modulus[..., 1:-1, :]], -2)
    return 100 * both.mean((-3, -2, -1))


def published_field_envelope(predicted: Tensor, target: Tensor) -> Tensor:
    """Envelope distance as Morgado et al. 2018 print it: the mean over channels, times the root of 4,800."""
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
    apart = (first - second).abs()
    return torch.minimum(apart, 2 * math.pi - apart).mean(-2)


def log_error(predicted_CFT: Tensor, target_CFT: Tensor, least: float) -> Tensor:
    """Per window: root mean square over frequency of the difference in dB, levels cut at `least`, `(..., C, T)`."""
    first, second = (10 * spectrum.abs().square().clamp(min=least).log10() for spectrum in (predicted_CFT, target_CFT))
    return (first - second).square().mean(-2).clamp(min=_LEAST).sqrt()


def floor(spectrum: StftConfig) -> float:
    """Power in one bin of what is `FLOOR_DB` below a sine of full scale."""
    return float((spectrum.window_length / 4) ** 2 * 10 ** (FLOOR_DB / 10))


def ratio_db(wanted: Tensor, wrong: Tensor) -> Tensor:
    """Ratio of two energies in dB, within -200 and 200."""
    least = _LEAST * torch.maximum(wanted, wrong).clamp(min=_LEAST)
    return 10 * ((wanted + least).log10() - (wrong + least).log10())


def reduced(values: Tensor, reduce: str) -> Tensor:
    """Sum or mean of `(..., C)` over the channels.

    Raises:
        ValueError: neither.
    """
    if reduce not in ("sum", "mean"):
        raise InputError(f"reduce is 'sum' or 'mean' over the channels, not {reduce!r}")
    return values.sum(-1) if reduce == "sum" else values.mean(-1)


def require_same(predicted: Tensor, target: Tensor) -> None:
    """See that two sounds can be compared.

    Raises:
        ValueError: they differ in shape, or are not `(..., channels, samples)`.
    """
    if predicted.shape != target.shape or predicted.ndim < 2:
        raise ValueError(
            f"expected two sounds (..., channels, samples) of one shape, got {tuple(predicted.shape)} and "
            f"{tuple(target.shape)}"
        )


def _difference(predicted: Tensor, target: Tensor) -> Tensor:
    require_same(predicted, target)
    return predicted - target


def _side(spectrum_CFT: Tensor) -> Tensor:
    # The phase of -0 is pi.
    return spectrum_CFT[..., 0, :, :] - spectrum_CFT[..., 1, :, :] + 0.0


def _spectra(predicted: Tensor, target: Tensor, spectrum: StftConfig) -> tuple[Tensor, Tensor]:
    require_same(predicted, target)
    return spectrum.stft(predicted), spectrum.stft(target)
