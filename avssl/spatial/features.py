"""Sound to network input, by name: log-mel maps, the intensity of a first-order field, differences between two ears.

Axes: B batch, C channel, T time, F frequency, M mel band.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from avssl.config import FeatureConfig
from avssl.errors import InputError
from avssl.spatial.ambisonics import beamform, stereo
from avssl.spatial.binaural_cues import cross_spectrum, gcc_phat, lag_steering, lags, level_difference, phase_difference

# Name -> (log-mel maps, maps of direction, channels it can start from, the first when nothing is said).
_KINDS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "mono-logmel": (1, 0, (4, 1, 2)),
    "stereo-logmel": (2, 0, (4, 2)),
    "stereo-phase": (2, 4, (4, 2)),
    "foa-logmel": (4, 0, (4,)),
    "foa-iv": (4, 3, (4,)),
    "beam-logmel": (1, 0, (4,)),
}
_CHUNK = 4
"""Sounds at a time on a CPU: the spectra stay in cache and their pages are used again."""
_BLOCK = 16
"""Mel bands in one product: neighbouring triangles share few bins, so blocks skip nearly all zeros."""
_FLOOR = 1e-10
"""Mel magnitude below which the logarithm is cut, as librosa's `power_to_db` has it: -100 dB."""


def names() -> list[str]:
    """Every feature that `Features` knows."""
    return list(_KINDS)


class Features(nn.Module):
    """Turns sound into the maps that an audio tower reads; one short-time spectrum serves them all.

    Log-mel maps are 10 log10 of the mel *magnitude*, as AVSA has it: an input 20 dB louder reads 10 higher. Each
    channel keeps `top_db` below its own maximum; all maps share one mean and deviation per mel band, so that levels
    between channels survive. Everything is computed in float32, inside autocast too.

    - `mono-logmel`: W of four channels; the mean of two; one as it is.
    - `stereo-logmel`: two channels, or W + Y and W - Y of four.
    - `stereo-phase`: those two, then level difference in bels, sine and cosine of the phase difference times coherence,
      and GCC-PHAT below 1.5 kHz over `stereo.lags(mels)`, which stand where bands do. Positive is left: louder, sooner.
    - `foa-logmel`: W, Y, Z, X. The sign of a channel is lost: left and right, up and down, look alike.
    - `foa-iv`: those four, then the active intensity along y, z, x as mel(I) / mel(E), length 1 for one plane wave.
    - `beam-logmel`: the beam `config.beam` towards the front; turn the sound first to listen elsewhere.

    Args:
        config: name, rates and sizes.
        channels: of the sound that will come; None: any number that the feature can start from.

    Raises:
        ValueError: a number of channels that the feature cannot start from.

    Example:
        >>> features = Features(FeatureConfig(name="foa-iv"))
        >>> features(torch.randn(2, 4, 24000)).shape  # 4 log-mel maps and 3 of the intensity, frames, mel bands
        torch.Size([2, 7, 100, 128])
    """

    window: Tensor
    filterbank: Tensor
    steering: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: FeatureConfig, channels: int | None = None) -> None:
        super().__init__()
        self.config, self.name = config, config.name
        self.levels, flows, self._accepted = _KINDS[config.name]
        self.maps = self.levels + flows
        if channels is not None and channels not in self._accepted:
            raise InputError(f"{self.name} starts from {_or(self._accepted)} channels, not {channels}")
        self._accepted = self._accepted if channels is None else (channels,)
        self.audio_channels = self._accepted[0]
        bank = _filterbank(config)
        self._blocks = _blocks(bank)
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.register_buffer("filterbank", bank, persistent=False)
        if self.name == "stereo-phase":
            steering = lag_steering(lags(config.mels), config.n_fft, config.sample_rate)
            self.register_buffer("steering", steering, persistent=False)
        self.register_buffer("mean", torch.zeros(config.mels))
        self.register_buffer("std", torch.ones(config.mels))

    def forward(self, audio: Tensor) -> Tensor:
        """Maps of a sound.

        Args:
            audio: `(..., channels, samples)` at `config.sample_rate`.

        Returns:
            `(..., maps, time, mels)`, with `samples // hop` frames.

        Raises:
            ValueError: another number of channels, or a sound shorter than a window.
        """
        self._check(audio)
        flat = audio.reshape(-1, *audio.shape[-2:])
        with torch.autocast(audio.device.type, enabled=False):
            maps = self._in_chunks(flat.to(self.window.dtype))
        return maps.reshape(*audio.shape[:-2], *maps.shape[1:])

    @property
    def accepted(self) -> tuple[int, ...]:
        """Numbers of channels that a sound may have."""
        return self._accepted

    @torch.no_grad()
    def fit(self, waveforms: Iterable[Tensor]) -> None:
        """Set `mean` and `std` of every mel band to those of the log-mel maps of some sounds, silent channels included.

        Args:
            waveforms: each `(..., channels, samples)`, of any length.

        Raises:
            ValueError: there is no sound.
        """
        self.mean.zero_()
        self.std.fill_(1.0)
        count, total, squares = 0, torch.zeros_like(self.mean, dtype=torch.float64), 0.0
        for audio in waveforms:
            maps = self(audio.to(self.mean.device))[..., : self.levels, :, :].reshape(-1, self.config.mels).double()
            count += len(maps)
            total = total + maps.sum(0)
            squares = squares + maps.square().sum(0)
        if not count:
            raise InputError(f"{self.name}: statistics need at least one sound")
        std = (squares / count - (total / count).square()).clamp(min=0).sqrt()
        self.mean.copy_(total / count)
        # A band that never changes, such as an empty filter's, has nothing to scale.
        self.std.copy_(std.where(std > 1e-3, 1.0))

    def extra_repr(self) -> str:
        """The configuration."""
        return str(self.config)

    def _check(self, audio: Tensor) -> None:
        if audio.ndim < 2 or audio.shape[-2] not in self._accepted:
            expected = f"(..., {_or(self._accepted)} channels, samples)"
            raise InputError(f"{self.name} takes {expected}, got {tuple(audio.shape)}")
        least = max(self.config.n_fft // 2 + 1, self.config.hop)
        if audio.shape[-1] < least:
            raise InputError(f"{self.name} needs at least {least} samples, got {audio.shape[-1]}")

    def _in_chunks(self, audio: Tensor) -> Tensor:
        learning = torch.is_grad_enabled() and audio.requires_grad
        if audio.device.type != "cpu" or learning or len(audio) <= _CHUNK:
            return self._maps(audio)
        maps = audio.new_empty(len(audio), self.maps, audio.shape[-1] // self.config.hop, self.config.mels)
        for part, target in zip(torch.split(audio, _CHUNK), torch.split(maps, _CHUNK), strict=True):
            target.copy_(self._maps(part))
        return maps

    def _maps(self, audio: Tensor) -> Tensor:
        """`(B, C, samples)` to `(B, maps, T, M)`."""
        real, imag = self._spectrum(self._mix(audio))
        power = _power(real, imag)
        # The square root has no gradient at exactly 0; this is far below what the logarithm keeps.
        level = self._level(self._mel((power + 1e-24).sqrt()))
        if self.maps == self.levels:
            return level
        return torch.cat([level, self._directions(real, imag, power)], 1)

    def _directions(self, real: Tensor, imag: Tensor, power: Tensor) -> Tensor:
        """`(B, C, T, F)` to what tells directions apart, `(B, maps - levels, T, M)`."""
        if self.name == "foa-iv":
            return _ratio(self._mel(_flow(real, imag)), self._mel(power.sum(1, keepdim=True) / 2))
        energy = self._mel(power)
        cross, quadrature = cross_spectrum(real, imag)
        sine, cosine = phase_difference(self._mel(cross), self._mel(quadrature), energy)
        lag = gcc_phat(cross, quadrature, self.steering)
        return torch.stack([level_difference(energy), sine, cosine, lag], 1)

    def _mix(self, audio: Tensor) -> Tensor:
        channels = audio.shape[-2]
        if self.name == "mono-logmel":
            return audio.mean(-2, keepdim=True) if channels == 2 else audio[..., :1, :]
        if self.name.startswith("stereo") and channels == 4:
            return stereo(audio)
        if self.name == "beam-logmel":
            return beamform(audio, 0.0, 0.0, self.config.beam).unsqueeze(-2)
        return audio

    def _spectrum(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Centred, reflected at the ends: `(B, C, samples)` to real and imaginary part `(B, C, T, F)`."""
        size, hop = self.config.n_fft, self.config.hop
        padded = nn.functional.pad(audio, (size // 2, size - size // 2), mode="reflect")
        windows = padded.unfold(-1, size, hop)[..., : audio.shape[-1] // hop, :]
        return _parts(torch.fft.rfft(windows * self.window))

    def _mel(self, planes: Tensor) -> Tensor:
        """Sum `(..., F)` into `(..., M)`."""
        parts = [planes[..., bins] @ self.filterbank[bins, bands] for bins, bands in self._blocks]
        return torch.cat(parts, -1)

    def _level(self, mel: Tensor) -> Tensor:
        """Mel magnitude to normalised decibels, each channel cut at `top_db` below its maximum."""
        level = mel.clamp(min=_FLOOR).log10()
        level = torch.maximum(level, level.amax((-2, -1), keepdim=True) - self.config.top_db / 10)
        return torch.addcmul(-self.mean / self.std, level, 10 / self.std)


def intensity(foa: Tensor, eps: float = 1e-10) -> Tensor:
    """Normalised active intensity of a first-order sound field, per time-frequency bin.

    Re{conj(W) [Y, Z, X]} over the energy, which is half the sum of the four squared moduli. It points to where the
    sound comes from; length 1 for one plane wave, 0 for a diffuse field (Perotin et al. 2019, with SN3D's energy).

    Args:
        foa: complex `(..., 4, frequency, time)`, ambiX order W, Y, Z, X.
        eps: keeps silence finite; relative to the mean energy of the field.

    Returns:
        `(..., 3, frequency, time)` along y, z, x.

    Raises:
        ValueError: `foa` has not 4 channels.

    Example:
        >>> from avssl.spatial.ambisonics import gains
        >>> wave = gains(0.0, 0.0)[:, None, None] * torch.ones(5, 3, dtype=torch.complex64)
        >>> intensity(wave)[:, 0, 0]  # along y, z, x
        tensor([0., 0., 1.])
    """
    if foa.ndim < 3 or foa.shape[-3] != 4:
        raise InputError(f"an ambiX spectrum of order 1 has shape (..., 4, frequency, time), not {tuple(foa.shape)}")
    real, imag = _parts(foa)
    return _ratio(_flow(real, imag), _power(real, imag).sum(-3, keepdim=True) / 2, eps)


def _parts(spectrum: Tensor) -> tuple[Tensor, Tensor]:
    # Interleaved parts are slow to compute on: the copies cost less than what they save.
    return spectrum.real.contiguous(), spectrum.imag.contiguous()


def _power(real: Tensor, imag: Tensor) -> Tensor:
    return torch.addcmul(real * real, imag, imag)


def _flow(real: Tensor, imag: Tensor) -> Tensor:
    """Active intensity along y, z, x of `(..., 4, ., .)`."""
    (w_real, others_real), (w_imag, others_imag) = (torch.split(part, [1, 3], -3) for part in (real, imag))
    return torch.addcmul(w_real * others_real, w_imag, others_imag)


def _ratio(vector: Tensor, energy: Tensor, eps: float = 1e-10) -> Tensor:
    return vector / (energy + eps * energy.mean((-2, -1), keepdim=True) + 1e-30)


def _filterbank(config: FeatureConfig) -> Tensor:
    """Slaney's triangles with unit area, `(F, M)`; narrow low bands may hold no bin and stay empty."""
    from torchaudio.functional import melscale_fbanks

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        bank: Tensor = melscale_fbanks(
            config.n_fft // 2 + 1, 0.0, config.sample_rate / 2, config.mels, config.sample_rate, "slaney", "slaney"
        )
    return bank


def _blocks(bank: Tensor) -> list[tuple[slice, slice]]:
    """Ranges of bins and bands that cover all that is not zero."""
    found = []
    for start in range(0, bank.shape[1], _BLOCK):
        bands = slice(start, min(start + _BLOCK, bank.shape[1]))
        used = bank[:, bands].any(1).nonzero().flatten().tolist() or [0]
        found.append((slice(used[0], used[-1] + 1), bands))
    return found


def _or(numbers: tuple[int, ...]) -> str:
    return " or ".join(map(str, sorted(numbers)))
