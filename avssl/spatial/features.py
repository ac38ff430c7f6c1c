"""Audio features by name: log-mel spectrograms, active intensity of ambisonics, beams, and binaural cues.

Axes: B batch, C channel, T time, F frequency, M mel band.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from itertools import repeat

import torch
from torch import Tensor, nn

from avssl.config import FeatureConfig
from avssl.errors import InputError
from avssl.spatial.ambisonics import beamform, rotate, stereo
from avssl.spatial.binaural_cues import (
    SILENCE,
    cross_spectrum,
    gcc_phat,
    lag_steering,
    lags,
    level_difference,
    phase_difference,
)

# Name -> (log-mel maps, spatial maps, accepted channel counts, the default first).
_KINDS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "mono-logmel": (1, 0, (4, 1, 2)),
    "stereo-logmel": (2, 0, (4, 2)),
    "stereo-phase": (2, 4, (4, 2)),
    "foa-logmel": (4, 0, (4,)),
    "foa-iv": (4, 3, (4,)),
    "beam-logmel": (1, 0, (4,)),
    "beam-ratio": (1, 1, (4,)),
}
OMNIDIRECTIONAL = ("mono-logmel",)
"""Features that no rotation of the sound field changes."""
_TURNED = frozenset(("mono-logmel", "foa-logmel", "foa-iv"))
"""Features of a rotated field that follow from the spectrum of the field as recorded: one STFT for all rotations."""
_CHUNK = 2**18
"""Time-frequency bins per channel of a chunk on a CPU: spectrograms stay in cache and memory pages are reused."""
_BLOCK = 16
"""Mel bands per matrix product: neighbouring filters share few bins, so that blocks skip nearly all zeros."""
_FLOOR = 1e-10
"""Floor of the mel magnitude, -100 dB, as in librosa's `power_to_db`."""


def names() -> list[str]:
    """Names of the features."""
    return list(_KINDS)


class Features(nn.Module):
    """Front-end from waveforms to the feature maps of an audio tower, all from one STFT.

    Log-mel maps are 10 log10 of the mel *magnitude*, as in AVSA: an input 20 dB louder gives values 10 higher. Each
    channel is clipped at `top_db` below its own maximum; all maps share one mean and deviation per mel band, so that
    level differences between channels are kept; `remove_level` subtracts the mean of the loudest map from all of them.
    Computed in float32, also under autocast.

    - `mono-logmel`: W of four channels; the mean of two; or the single channel.
    - `stereo-logmel`: two channels, or W + Y and W - Y of four.
    - `stereo-phase`: those two, then level difference in bels, sine and cosine of the phase difference times coherence,
      and GCC-PHAT below 1.5 kHz at `lags(mels)`, on the axis of the mel bands. Positive: left is louder or earlier.
    - `foa-logmel`: W, Y, Z, X. Without sign: left and right, up and down are indistinguishable.
    - `foa-iv`: those four, then the active intensity along y, z, x as mel(I) / mel(E), length 1 for one plane wave.
    - `beam-logmel`: the beam pattern `config.beam` to the front; rotate the sound field for other directions.
    - `beam-ratio`: that beam, then log10 of its mel energy over that of W: for one plane wave at an angle from the
      front, log10 of the squared gain of the pattern at that angle, whatever its spectrum.

    Args:
        config: name, rates and sizes.
        channels: channel count of the input; None: any that the feature accepts.

    Raises:
        ValueError: a channel count that the feature does not accept.

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
        self.levels, spatial, self._accepted = _KINDS[config.name]
        self.maps = self.levels + spatial
        if channels is not None and channels not in self._accepted:
            raise InputError(f"expected {_or(self._accepted)} channels for {self.name}, got {channels}")
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

    def forward(self, audio: Tensor, rotation: Tensor | None = None) -> Tensor:
        """Feature maps of waveforms.

        Args:
            audio: `(..., channels, samples)` at `config.sample_rate`.
            rotation: `(..., K, 3, 3)`, K rotations of each sound field, as of `ambisonics.rotate`; None: as recorded.

        Returns:
            `(..., maps, time, mels)`, with `samples // hop` time frames; `(..., K, maps, time, mels)` with rotations,
            equal to those of the rotated waveforms up to rounding.

        Raises:
            ValueError: a channel count that is not accepted, or audio shorter than a window.
        """
        self._check(audio)
        flat = audio.reshape(-1, *audio.shape[-2:]).to(self.window.dtype)
        with torch.autocast(audio.device.type, enabled=False):
            turns = None if rotation is None else rotation.reshape(-1, *rotation.shape[-3:]).to(flat)
            maps = self._in_chunks(flat, turns)
        return maps.reshape(*(audio if rotation is None else rotation).shape[:-2], *maps.shape[1:])

    @staticmethod
    def count_maps(config: FeatureConfig) -> int:
        """Number of feature maps, log-mel and spatial ones."""
        levels, spatial, _ = _KINDS[config.name]
        return levels + spatial

    @property
    def accepted(self) -> tuple[int, ...]:
        """Accepted channel counts."""
        return self._accepted

    @torch.no_grad()
    def fit(self, waveforms: Iterable[Tensor]) -> None:
        """Set `mean` and `std` of every mel band to those of the log-mel maps of waveforms, silent channels included.

        Args:
            waveforms: each `(..., channels, samples)`, of any length.

        Raises:
            ValueError: no waveform.
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
            raise InputError(f"expected at least one waveform for the statistics of {self.name}, got none")
        std = (squares / count - (total / count).square()).clamp(min=0).sqrt()
        self.mean.copy_(total / count)
        # Constant bands, such as those of empty filters, are not scaled.
        self.std.copy_(std.where(std > 1e-3, 1.0))

    def extra_repr(self) -> str:
        """The configuration."""
        return str(self.config)

    def _check(self, audio: Tensor) -> None:
        if audio.ndim < 2 or audio.shape[-2] not in self._accepted:
            expected = f"(..., {_or(self._accepted)} channels, samples)"
            raise InputError(f"expected audio {expected} for {self.name}, got {tuple(audio.shape)}")
        least = max(self.config.n_fft // 2 + 1, self.config.hop)
        if audio.shape[-1] < least:
            raise InputError(f"expected at least {least} samples for {self.name}, got {audio.shape[-1]}")

    def _in_chunks(self, audio: Tensor, rotation: Tensor | None = None) -> Tensor:
        """`(B, C, samples)` to `(B, maps, T, M)`, with `(B, K, 3, 3)` to `(B K, maps, T, M)`; channels innermost."""
        views = 1 if rotation is None else rotation.shape[1]
        frames, bins = audio.shape[-1] // self.config.hop, self.config.n_fft // 2 + 1
        clips = max(1, _CHUNK // (views * frames * bins))
        needs_grad = torch.is_grad_enabled() and audio.requires_grad
        if audio.device.type != "cpu" or needs_grad or len(audio) <= clips:
            return torch.cat(self._maps(audio, rotation), 1)
        shape = len(audio) * views, self.maps, frames, self.config.mels
        maps = torch.empty(shape, dtype=audio.dtype, memory_format=torch.channels_last)
        turns = repeat(None) if rotation is None else torch.split(rotation, clips)
        for part, turn, target in zip(torch.split(audio, clips), turns, torch.split(maps, clips * views), strict=False):
            target[:, : self.levels], *spatial = self._maps(part, turn)
            for each in spatial:
                target[:, self.levels :] = each
        return maps

    def _maps(self, audio: Tensor, rotation: Tensor | None = None) -> tuple[Tensor, ...]:
        """Log-mel maps of one chunk, and the spatial ones if there are any; see `_in_chunks`."""
        if rotation is not None and self.name not in _TURNED:
            audio, rotation = rotate(audio[:, None], rotation).flatten(0, 1), None
        real, imag = self._spectrum(self._mix(audio))
        if rotation is not None:
            return self._turned_maps(real, imag, rotation)
        level = self._level(self._mel(_magnitude(real[:, : self.levels], imag[:, : self.levels])))
        return (level,) if self.maps == self.levels else (level, self._spatial_maps(real, imag))

    def _turned_maps(self, real: Tensor, imag: Tensor, rotation: Tensor) -> tuple[Tensor, ...]:
        """`_maps` `(B K, ..., T, M)` of a spectrogram `(B, C, T, F)` under `(B, K, 3, 3)`.

        Rotations mix Y, Z and X of a spectrum as they mix those of a waveform, and those of the intensity; W and the
        energy are the same in all.
        """
        clips, views = rotation.shape[:2]
        loudness = self._mel(_magnitude(real[:, :1], imag[:, :1]))[:, None].expand(-1, views, -1, -1, -1)
        if self.maps == 1:
            return (self._level(loudness.flatten(0, 1)),)
        turn = rotation.roll((-1, -1), (-2, -1)).flatten(1, 2)  # of Y, Z, X
        sides = [turn @ part[:, 1:].flatten(2) for part in (real, imag)]
        directed = self._mel(_magnitude(*sides).view(clips, views, 3, *real.shape[2:]))
        level = self._level(torch.cat([loudness, directed], 2).flatten(0, 1))
        if self.maps == self.levels:
            return (level,)
        direction = self._spatial_maps(real, imag)
        return level, (turn @ direction.flatten(2)).view(clips * views, 3, *direction.shape[2:])

    def _spatial_maps(self, real: Tensor, imag: Tensor) -> Tensor:
        """Spatial maps `(B, maps - levels, T, M)` of a spectrogram `(B, C, T, F)`."""
        power = _power(real, imag)
        if self.name == "foa-iv":
            return _ratio(self._mel(_active_intensity(real, imag)), self._mel(power.sum(1, keepdim=True) / 2))
        energy = self._mel(power)
        if self.name == "beam-ratio":
            return _bels(*torch.split(energy, 1, 1))
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
        if not self.name.startswith("beam"):
            return audio
        beam = beamform(audio, 0.0, 0.0, self.config.beam).unsqueeze(-2)
        return torch.cat([beam, audio[..., :1, :]], -2) if self.name == "beam-ratio" else beam

    def _spectrum(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Centred STFT with reflected ends: `(B, C, samples)` to real and imaginary part `(B, C, T, F)`."""
        size, hop = self.config.n_fft, self.config.hop
        # As `pad` in mode reflect, which is seven times slower.
        first, last = audio[..., 1 : size // 2 + 1], audio[..., -1 - (size - size // 2) : -1]
        padded = torch.cat([first.flip(-1), audio, last.flip(-1)], -1)
        windows = padded.unfold(-1, size, hop)[..., : audio.shape[-1] // hop, :]
        return _parts(torch.fft.rfft(windows * self.window))

    def _mel(self, planes: Tensor) -> Tensor:
        """Apply the mel filter bank: `(..., F)` to `(..., M)`."""
        parts = [planes[..., bins] @ self.filterbank[bins, bands] for bins, bands in self._blocks]
        return torch.cat(parts, -1)

    def _level(self, mel: Tensor) -> Tensor:
        """Mel magnitude to normalised decibels, each channel clipped at `top_db` below its maximum."""
        level = mel.clamp(min=_FLOOR).log10()
        level = torch.maximum(level, level.amax((-2, -1), keepdim=True) - self.config.top_db / 10)
        if self.config.remove_level:  # the same for all channels, whose differences depend on the direction
            level = level - level.mean((-2, -1), keepdim=True).amax(-3, keepdim=True)
        return torch.addcmul(-self.mean / self.std, level, 10 / self.std)


def intensity(foa: Tensor, eps: float = 1e-10) -> Tensor:
    """Normalised active intensity of a first-order sound field, per time-frequency bin.

    Re{conj(W) [Y, Z, X]} over the energy, which is half the sum of the four squared magnitudes. It points to the
    direction of arrival; length 1 for one plane wave, 0 for a diffuse field (Perotin et al. 2019, with SN3D energy).

    Args:
        foa: complex `(..., 4, frequency, time)`, ambiX order W, Y, Z, X.
        eps: regularisation for silence, relative to the mean energy.

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
        raise InputError(f"expected an ambiX spectrogram (..., 4, frequency, time), got {tuple(foa.shape)}")
    real, imag = _parts(foa)
    return _ratio(_active_intensity(real, imag), _power(real, imag).sum(-3, keepdim=True) / 2, eps)


def _parts(spectrum: Tensor) -> tuple[Tensor, Tensor]:
    # Interleaved parts are slow to compute on: contiguous copies are faster in total.
    return spectrum.real.contiguous(), spectrum.imag.contiguous()


def _power(real: Tensor, imag: Tensor) -> Tensor:
    return torch.addcmul(real * real, imag, imag)


def _magnitude(real: Tensor, imag: Tensor) -> Tensor:
    # The square root has no gradient at 0; the offset is far below the floor of the logarithm. One buffer for all.
    return torch.addcmul(real.new_tensor(1e-24), real, real).addcmul_(imag, imag).sqrt_()


def _active_intensity(real: Tensor, imag: Tensor) -> Tensor:
    """Active intensity along y, z, x of `(..., 4, ., .)`."""
    (w_real, others_real), (w_imag, others_imag) = (torch.split(part, [1, 3], -3) for part in (real, imag))
    return torch.addcmul(w_real * others_real, w_imag, others_imag)


def _ratio(vector: Tensor, energy: Tensor, eps: float = 1e-10) -> Tensor:
    return vector / (energy + eps * energy.mean((-2, -1), keepdim=True) + 1e-30)


def _bels(beam: Tensor, omni: Tensor) -> Tensor:
    """Level of a beam over that of W, each energy `(..., T, M)`, in bels; 0 where both are silent.

    The floor is 60 dB below the mean of W in the same band: bands of low energy have their ratio too.
    """
    floor = SILENCE * omni.mean(-2, keepdim=True) + 1e-30
    return (beam + floor).log10() - (omni + floor).log10()


def _filterbank(config: FeatureConfig) -> Tensor:
    """Mel filter bank (Slaney, unit area) `(F, M)`; narrow low bands may contain no bin and are 0."""
    from torchaudio.functional import melscale_fbanks

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        bank: Tensor = melscale_fbanks(
            config.n_fft // 2 + 1, 0.0, config.sample_rate / 2, config.mels, config.sample_rate, "slaney", "slaney"
        )
    return bank


def _blocks(bank: Tensor) -> list[tuple[slice, slice]]:
    """Ranges of bins and bands that cover all nonzero weights."""
    blocks = []
    for start in range(0, bank.shape[1], _BLOCK):
        bands = slice(start, min(start + _BLOCK, bank.shape[1]))
        used = bank[:, bands].any(1).nonzero().flatten().tolist() or [0]
        blocks.append((slice(used[0], used[-1] + 1), bands))
    return blocks


def _or(numbers: tuple[int, ...]) -> str:
    return " or ".join(map(str, sorted(numbers)))
