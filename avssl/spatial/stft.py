"""Short-time spectra and back, and the masks that turn the spectrum of a mix into that of a channel.

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
    """Sizes of a short-time spectrum; the defaults are those of 2.5D Visual Sound at 16 kHz."""

    n_fft: int = 512
    """Samples of a transform."""
    window_length: int = 400
    """Samples of the Hann window, in the middle of the transform."""
    hop: int = 160
    """Samples between windows."""
    pad: str = "reflect"
    """How half a transform is added at both ends: reflect, constant (zeros), or none: windows start at the first
    sample."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if not 1 <= self.hop <= self.window_length <= self.n_fft:
            raise InputError(
                f"a spectrum needs 1 <= hop <= window_length <= n_fft, not hop {self.hop}, window_length "
                f"{self.window_length}, n_fft {self.n_fft}"
            )
        if self.pad not in PADDINGS:
            raise InputError(f"padding is {', '.join(PADDINGS)}, not {self.pad!r}{hint(self.pad, PADDINGS)}")

    @property
    def bins(self) -> int:
        """Rows of the spectrum, from 0 Hz to half the sample rate."""
        return self.n_fft // 2 + 1

    def frames(self, samples: int) -> int:
        """Columns of the spectrum of so many samples."""
        added = 0 if self.pad == "none" else 2 * (self.n_fft // 2)
        return (samples + added - self.n_fft) // self.hop + 1

    def stft(self, audio: Tensor) -> Tensor:
        """`stft` with these sizes."""
        return stft(audio, self.n_fft, self.window_length, self.hop, self.pad)

    def istft(self, spectrum: Tensor, samples: int) -> Tensor:
        """`istft` with these sizes."""
        return istft(spectrum, self.n_fft, self.window_length, self.hop, samples, self.pad)


def stft(audio: Tensor, n_fft: int, window_length: int, hop: int, pad: str = "reflect") -> Tensor:
    """Short-time Fourier transform with a periodic Hann window, in float32 inside autocast too.

    Args:
        audio: `(..., samples)`.
        n_fft: samples of a transform.
        window_length: samples of the window, in the middle of the transform.
        hop: samples between windows.
        pad: `reflect` as librosa had it to 0.8, `constant`, or `none`: no window reaches beyond the ends.

    Returns:
        Complex `(..., n_fft // 2 + 1, T)`, the Nyquist row among them.

    Raises:
        ValueError: sizes that do not fit, or a sound shorter than they need.

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
        raise InputError(f"a spectrum of windows of {n_fft} needs at least {least} samples, got {audio.shape[-1]}")
    with torch.autocast(audio.device.type, enabled=False):
        flat = _float(audio).reshape(-1, audio.shape[-1])
        mode, centred = (pad, True) if config.pad != "none" else ("constant", False)
        window = _hann(window_length, flat)
        spectrum = torch.stft(flat, n_fft, hop, window_length, window, centred, mode, return_complex=True)
    return spectrum.reshape(*audio.shape[:-1], *spectrum.shape[-2:])


def istft(spectrum: Tensor, n_fft: int, window_length: int, hop: int, samples: int, pad: str = "reflect") -> Tensor:
    """The sound whose short-time spectrum is nearest to this one (Griffin & Lim 1984).

    Published code lets the library guess the transform's size from the 256 rows that masks have, gets 510 and loses
    half of the signal (31 instead of 81 dB); here it is said, and the missing Nyquist row is zero.

    Args:
        spectrum: complex `(..., F, T)` with `n_fft // 2 + 1` rows, or one fewer.
        n_fft: samples of a transform.
        window_length: samples of the window.
        hop: samples between windows.
        samples: length of the sound; what no window reaches is silent.
        pad: as in `stft`.

    Returns:
        `(..., samples)`.

    Raises:
        ValueError: another number of rows, or sizes that do not fit.
    """
    config = StftConfig(n_fft, window_length, hop, pad)
    whole = _with_nyquist(spectrum, config.bins)
    with torch.autocast(spectrum.device.type, enabled=False):
        window = functional.pad(_hann(window_length, whole.real), _sides(n_fft - window_length))
        windows_NST = torch.fft.irfft(whole.reshape(-1, *whole.shape[-2:]), n_fft, dim=-2) * window[:, None]
        weight_1ST = window.square()[None, :, None].expand(1, -1, windows_NST.shape[-1])
        audio, weight = _overlap_add(windows_NST, hop), _overlap_add(weight_1ST, hop)
        # Hann's ends add up to nearly nothing where no other window overlaps them.
        audio = torch.where(weight > 1e-6, audio / weight.clamp(min=1e-6), 0.0)
    start = 0 if pad == "none" else n_fft // 2
    audio = audio[:, start : start + samples]
    return functional.pad(audio, (0, samples - audio.shape[-1])).reshape(*spectrum.shape[:-2], samples)


def parts(spectrum: Tensor) -> Tensor:
    """Real and imaginary part as planes: complex `(..., F, T)` to `(..., 2, F, T)`, as networks take it."""
    return torch.stack([spectrum.real, spectrum.imag], -3)


def from_parts(planes: Tensor) -> Tensor:
    """Planes `(..., 2, F, T)` to complex `(..., F, T)`, float32."""
    real, imag = _float(planes).unbind(-3)
    return torch.complex(real, imag)


def apply_mask(mask: Tensor, mix: Tensor) -> Tensor:
    """The product of a mask and the spectrum of a mix, in the rows that the mask has.

    Args:
        mask: real or complex `(..., F, T)`, with as many rows as the mix or fewer: 256 of 257 in published networks.
        mix: complex, broadcast against the mask.

    Returns:
        Complex, with the mask's rows.
    """
    return mask * mix[..., : mask.shape[-2], :]


def ideal_masks(channels: Tensor, mix: Tensor, kind: str = "complex") -> Tensor:
    """The masks that a network should find; applied to the mix, `complex` ones give the channels back.

    - `sqrt_power`: square root of a channel's share of the power (Lu et al. 2019); 3 dB too loud where channels agree
      and the mix is their sum.
    - `amplitude_over_mix`: its modulus over the mix's, cut at 1.
    - `complex`: its spectrum over the mix's, of any size.

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
        raise InputError(f"a mask is {', '.join(MASKS)}, not {kind!r}{hint(kind, MASKS)}")
    mix = mix.unsqueeze(-3)
    if kind == "sqrt_power":
        power = channels.abs().square()
        return (power / (power.sum(-3, keepdim=True) + _TINY)).sqrt()
    if kind == "amplitude_over_mix":
        return (channels.abs() / (mix.abs() + _TINY)).clamp(max=1)
    return channels * mix.conj() / (mix.abs().square() + _TINY)


def two_sided(magnitude: Tensor) -> Tensor:
    """Rows of positive frequencies `(..., n_fft // 2 + 1, T)` to all rows of the transform, `(..., n_fft, T)`."""
    return torch.cat([magnitude, magnitude[..., 1:-1, :].flip(-2)], -2)


def one_sided(mask: Tensor) -> Tensor:
    """The mask of positive frequencies that does what a real one of all `(..., n_fft, T)` does to a real sound.

    Rows of opposite frequencies are averaged: that is the real part of the masked sound, `(..., n_fft // 2 + 1, T)`.
    """
    rows = mask.shape[-2] // 2 + 1
    opposite = torch.cat([mask[..., :1, :], mask[..., 1:, :].flip(-2)], -2)
    return (mask[..., :rows, :] + opposite[..., :rows, :]) / 2


def level(mix: Tensor) -> Tensor:
    """What the mono mix is divided by, so that its root mean square is 0.1; never the channels to be found.

    Published test code takes it from the true stereo sound, which tells a network the answer's level.

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
        raise ValueError(f"a spectrum of {2 * bins - 2} has {bins} rows, or one fewer, not {spectrum.shape[-2]}")
    return functional.pad(spectrum, (0, 0, 0, missing))


def _overlap_add(windows_NST: Tensor, hop: int) -> Tensor:
    """Windows `(N, n_fft, T)` laid side by side, `hop` samples apart: `(N, samples)`."""
    size, count = windows_NST.shape[1:]
    total = size + hop * (count - 1)
    return functional.fold(windows_NST, (1, total), (1, size), stride=(1, hop))[:, 0, 0]
