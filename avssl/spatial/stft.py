"""Short-time Fourier transform (STFT), its inverse, and time-frequency masks.

Axes: C channel, F frequency, T time; spectra are complex `(..., F, T)`, unscaled.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from avssl.errors import InputError
from avssl.plugins import hint

PADDINGS = ("reflect", "constant", "none")
MASKS = ("sqrt_power", "amplitude_over_mix", "complex")
_TINY = 1e-36


@dataclass(frozen=True)
class StftConfig:
    """STFT parameters; the defaults are those of 2.5D Visual Sound at 16 kHz."""

    n_fft: int = 512
    """Samples of the Fourier transform."""
    window_length: int = 400
    """Samples of the Hann window, centred in the transform."""
    hop: int = 160
    """Samples between windows."""
    pad: str = "reflect"
    """Padding by half a transform at both ends: reflect, constant (zeros), or none: windows start at the first
    sample."""

    def __post_init__(self) -> None:
        """Validate field values."""
        if not 1 <= self.hop <= self.window_length <= self.n_fft:
            raise InputError(
                f"expected 1 <= hop <= window_length <= n_fft, got hop {self.hop}, window_length "
                f"{self.window_length}, n_fft {self.n_fft}"
            )
        if self.pad not in PADDINGS:
            raise InputError(f"expected padding {', '.join(PADDINGS)}, got {self.pad!r}{hint(self.pad, PADDINGS)}")

    @property
    def bins(self) -> int:
        """Frequency bins, from 0 Hz to half the sample rate."""
        return self.n_fft // 2 + 1

    def frames(self, samples: int) -> int:
        """Time frames for a number of samples."""
        added = 0 if self.pad == "none" else 2 * (self.n_fft // 2)
        return (samples + added - self.n_fft) // self.hop + 1

    def stft(self, audio: Tensor) -> Tensor:
        """`stft` with these parameters."""
        return stft(audio, self.n_fft, self.window_length, self.hop, self.pad)

    def istft(self, spectrum: Tensor, samples: int) -> Tensor:
        """`istft` with these parameters."""
        return istft(spectrum, self.n_fft, self.window_length, self.hop, samples, self.pad)


def stft(audio: Tensor, n_fft: int, window_length: int, hop: int, pad: str = "reflect") -> Tensor:
    """Short-time Fourier transform with a periodic Hann window, in float32 also under autocast.

    Args:
        audio: `(..., samples)`.
        n_fft: samples of the Fourier transform.
        window_length: samples of the window, centred in the transform.
        hop: samples between windows.
        pad: `reflect` (default of librosa up to 0.8), `constant`, or `none`: no window reaches beyond the ends.

    Returns:
        Complex `(..., n_fft // 2 + 1, T)`, the Nyquist bin included.

    Raises:
        ValueError: inconsistent parameters, or audio too short for them.

    Example:
        >>> audio = torch.randn(2, 16000)
        >>> spectrum = stft(audio, n_fft=512, window_length=400, hop=160)
        >>> spectrum.shape
        torch.Size([2, 257, 101])
        >>> torch.allclose(istft(spectrum, 512, 400, 160, samples=16000), audio, atol=1e-5)
        True
    """
    config = StftConfig(n_fft, window_length, hop, pad)
    least = n_fft if pad == "none" else n_fft // 2 + 1
    if audio.shape[-1] < least:
        raise InputError(f"expected at least {least} samples for an STFT of n_fft={n_fft}, got {audio.shape[-1]}")
    with torch.autocast(audio.device.type, enabled=False):
        flat = _float(audio).reshape(-1, audio.shape[-1])
        mode, centred = (pad, True) if config.pad != "none" else ("constant", False)
        window = _hann(window_length, flat)
        spectrum = torch.stft(flat, n_fft, hop, window_length, window, centred, mode, return_complex=True)
    return spectrum.reshape(*audio.shape[:-1], *spectrum.shape[-2:])


def istft(spectrum: Tensor, n_fft: int, window_length: int, hop: int, samples: int, pad: str = "reflect") -> Tensor:
    """Inverse STFT: least-squares signal for a modified spectrogram (Griffin & Lim 1984).

    Published code infers n_fft from the 256 rows of the masks, 510, and loses half of the signal (31 instead of 81 dB);
    here it is explicit, and a missing Nyquist bin is zero.

    Args:
        spectrum: complex `(..., F, T)` with `n_fft // 2 + 1` bins, or one fewer.
        n_fft: samples of the Fourier transform.
        window_length: samples of the window.
        hop: samples between windows.
        samples: length of the result; samples that no window covers are 0.
        pad: as in `stft`.

    Returns:
        `(..., samples)`.

    Raises:
        ValueError: another number of bins, or inconsistent parameters.
    """
    config = StftConfig(n_fft, window_length, hop, pad)
    whole = _with_nyquist(spectrum, config.bins)
    with torch.autocast(spectrum.device.type, enabled=False):
        window = functional.pad(_hann(window_length, whole.real), _sides(n_fft - window_length))
        windows_NTS = torch.fft.irfft(whole.reshape(-1, *whole.shape[-2:]).mT, n_fft) * window
        weight_1TS = window.square().expand(1, windows_NTS.shape[1], -1)
        audio, weight = _overlap_add(windows_NTS, hop), _overlap_add(weight_1TS, hop)
        # The window sum is nearly 0 at the ends, where windows do not overlap.
        audio = torch.where(weight > 1e-6, audio / weight.clamp(min=1e-6), 0.0)
    start = 0 if pad == "none" else n_fft // 2
    audio = audio[:, start : start + samples]
    return functional.pad(audio, (0, samples - audio.shape[-1])).reshape(*spectrum.shape[:-2], samples)


def parts(spectrum: Tensor) -> Tensor:
    """Stack real and imaginary part: complex `(..., F, T)` to `(..., 2, F, T)`."""
    return torch.stack([spectrum.real, spectrum.imag], -3)


def from_parts(planes: Tensor) -> Tensor:
    """Inverse of `parts`: `(..., 2, F, T)` to complex `(..., F, T)`, float32."""
    real, imag = _float(planes).unbind(-3)
    return torch.complex(real, imag)


def apply_mask(mask: Tensor, mix: Tensor) -> Tensor:
    """Apply a mask to the spectrogram of a mix, in the frequency bins of the mask.

    Args:
        mask: real or complex `(..., F, T)`, with as many bins as the mix or fewer: 256 of 257 in published networks.
        mix: complex, broadcast against the mask.

    Returns:
        Complex, with the bins of the mask.
    """
    return mask * mix[..., : mask.shape[-2], :]


def ideal_masks(channels: Tensor, mix: Tensor, kind: str = "complex") -> Tensor:
    """Ideal masks of channels given their mix; the `complex` masks recover the channels exactly.

    - `sqrt_power`: square root of a channel's fraction of the power (Lu et al. 2019); 3 dB too loud where channels are
      equal and the mix is their sum.
    - `amplitude_over_mix`: magnitude over the magnitude of the mix, at most 1.
    - `complex`: spectrogram over that of the mix, unbounded.

    Args:
        channels: complex `(..., C, F, T)`.
        mix: complex `(..., F, T)`.
        kind: one of `MASKS`.

    Returns:
        `(..., C, F, T)`, complex for `complex`; 0 where the mix is silent.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in MASKS:
        raise InputError(f"expected a mask kind among {', '.join(MASKS)}, got {kind!r}{hint(kind, MASKS)}")
    mix = mix.unsqueeze(-3)
    if kind == "sqrt_power":
        power = channels.abs().square()
        return (power / (power.sum(-3, keepdim=True) + _TINY)).sqrt()
    if kind == "amplitude_over_mix":
        return (channels.abs() / (mix.abs() + _TINY)).clamp(max=1)
    return channels * mix.conj() / (mix.abs().square() + _TINY)


def two_sided(magnitude: Tensor) -> Tensor:
    """Extend positive frequencies `(..., n_fft // 2 + 1, T)` to all bins of the transform `(..., n_fft, T)`."""
    return torch.cat([magnitude, magnitude[..., 1:-1, :].flip(-2)], -2)


def one_sided(mask: Tensor) -> Tensor:
    """Mask of positive frequencies equivalent, on real audio, to a real two-sided mask `(..., n_fft, T)`.

    Opposite frequencies are averaged, which gives the real part of the masked audio; `(..., n_fft // 2 + 1, T)`.
    """
    rows = mask.shape[-2] // 2 + 1
    opposite = torch.cat([mask[..., :1, :], mask[..., 1:, :].flip(-2)], -2)
    return (mask[..., :rows, :] + opposite[..., :rows, :]) / 2


def level(mix: Tensor) -> Tensor:
    """Divisor that normalises a mono mix to a root mean square of 0.1.

    Published test code computes it from the ground-truth stereo audio, which leaks the target level to the network.

    Args:
        mix: `(..., samples)`.

    Returns:
        `(..., 1)`, at least 1e-3.
    """
    return mix.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-4) / 0.1


def _float(audio: Tensor) -> Tensor:
    return audio if audio.dtype == torch.float64 else audio.float()


def _hann(length: int, like: Tensor) -> Tensor:
    return torch.hann_window(length, dtype=like.dtype, device=like.device)


def _sides(total: int) -> tuple[int, int]:
    return total // 2, total - total // 2


def _with_nyquist(spectrum: Tensor, bins: int) -> Tensor:
    missing = bins - spectrum.shape[-2]
    if missing not in (0, 1):
        raise ValueError(
            f"expected {bins} frequency bins, or one fewer, for n_fft={2 * bins - 2}, got {spectrum.shape[-2]}"
        )
    return functional.pad(spectrum, (0, 0, 0, missing))


def _overlap_add(windows_NTS: Tensor, hop: int) -> Tensor:
    """Overlap-add windows `(N, T, n_fft)`, `hop` samples apart: `(N, samples)`."""
    count, size = windows_NTS.shape[1:]
    if size % hop:
        total = size + hop * (count - 1)
        return functional.fold(windows_NTS.mT, (1, total), (1, size), stride=(1, hop))[:, 0, 0]
    # Several times as fast: sums of whole blocks.
    blocks = windows_NTS.reshape(len(windows_NTS), count, size // hop, hop)
    sums = windows_NTS.new_zeros(len(blocks), count + blocks.shape[2] - 1, hop)
    for place in range(blocks.shape[2]):
        sums[:, place : place + count] += blocks[:, :, place]
    return sums.flatten(1)
