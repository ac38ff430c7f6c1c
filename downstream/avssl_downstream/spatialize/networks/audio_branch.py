"""Audio branch of a generator: its input audio to features over time, by an audio tower."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.config import FeatureConfig, ModelConfig
from avssl.errors import InputError
from avssl.models.encoders import AudioEncoder, Encoders
from avssl.models.tower_factory import audio_tower
from avssl.spatial.features import Features
from avssl.spatial.resample import AUDIO
from avssl_downstream.spatialize.networks.visual_branch import train_only_used

# B windows, I input channels, S samples, C channels, T times and M bands of feature maps

ROLLOFF = 0.95
"""Cutoff of resampling, relative to the lower rate's Nyquist frequency."""
UNITS = 128
"""Channels of the features."""
_SCRATCH = "mono-logmel"
"""Features of a tower with random weights, where those of the encoders do not accept the input audio."""


class AudioBranch(nn.Module):
    """Input audio of a generator to features over time: the feature maps of an audio tower, before pooling.

    - `encoders`: a copy of the pretrained audio tower of a run, and its features.
    - `scratch`: the same architecture with random weights; without encoders, the audio tower of the `small` preset.

    The maps of all bands at one time are one vector, which is normalised and projected; the projection is not
    pretrained.

    Args:
        source: one of the above.
        encoders: of a pretraining run.
        channels: I, input channels of the generator.
        sample_rate: Hz, of the generator.
        seconds: of the generator's windows.
        fine_tune: train the tower too; otherwise weights and norm statistics are frozen.

    Raises:
        InputError: an unknown source, `encoders` without encoders, features that do not accept I channels, a tower
            without feature maps, or windows too short for it.
    """

    width = UNITS

    def __init__(
        self,
        source: str,
        encoders: Encoders | None,
        channels: int,
        sample_rate: int,
        seconds: float,
        fine_tune: bool = True,
    ) -> None:
        super().__init__()
        self.source, self.sample_rate, self.fine_tune = source, sample_rate, fine_tune
        self.network = _network(source, encoders, channels)
        shape = channels, round(seconds * self.network.sample_rate)
        maps, parameters = self._on_meta(*shape)
        planes, _, bands = maps.shape[1:]
        self.norm = nn.LayerNorm(planes * bands)
        self.projection = nn.Linear(planes * bands, UNITS)
        train_only_used(self.network, maps, parameters, fine_tune)
        self.train()

    def maps(self, audio: Tensor) -> Tensor:
        """Feature maps `(B, C, T, M)` of audio `(B, I, S)`, those of the encoders at their sample rate."""
        audio = resampled(audio, self.sample_rate, self.network.sample_rate)
        with torch.set_grad_enabled(self.fine_tune and torch.is_grad_enabled()):
            return self.network.maps(audio)

    def forward(self, audio: Tensor) -> Tensor:
        """Features of windows.

        Args:
            audio: `(B, I, S)` or, of one channel, `(B, S)`; at a level of 0.1 (see `avssl.spatial.stft.level`).

        Returns:
            `(B, UNITS, T)`, at least 0; time steps divide the window evenly, see `resample_steps`.
        """
        maps = self.maps(audio if audio.ndim == 3 else audio[:, None])
        times = self.norm(rearrange(maps, "B C T M -> B T (C M)"))
        return functional.relu(self.projection(times)).mT

    def train(self, mode: bool = True) -> AudioBranch:
        """Set training mode of norms and dropout; a frozen tower stays in evaluation mode."""
        super().train(mode)
        self.network.train(mode and self.fine_tune)
        return self

    @torch.enable_grad()
    def _on_meta(self, channels: int, samples: int) -> tuple[Tensor, list[nn.Parameter]]:
        """Feature maps of two windows on the meta device, and the parameters of the copy that computed them."""
        config = self.network.features.config
        if samples < config.n_fft:
            raise InputError(f"expected windows of at least {config.n_fft} samples for {config.name}, got {samples}")
        tower = deepcopy(self.network.tower).to("meta")
        size = self.network.features.maps, samples // config.hop, config.mels
        return tower.maps(torch.zeros(2, *size, device="meta")), list(tower.parameters())


def accepts(encoders: Encoders, channels: int) -> bool:
    """Whether the audio tower of encoders takes audio of this many channels."""
    return channels in encoders.features.accepted


def resample_steps(features: Tensor, steps: int) -> Tensor:
    """Features `(B, C, T)` at another number of time steps of the same window: interpolated, or means of several."""
    if steps < features.shape[-1]:
        return functional.adaptive_avg_pool1d(features, steps)
    return functional.interpolate(features, steps, mode="linear")


def resampled(audio: Tensor, source: int, target: int) -> Tensor:
    """Audio `(..., S)` at another sample rate, by a filter as sharp as that of `resample`, on its own device."""
    if source == target:
        return audio
    from torchaudio.functional import resample

    found: Tensor = resample(audio, source, target, AUDIO.crossings, ROLLOFF, "sinc_interp_kaiser", AUDIO.beta)
    return found


def _network(source: str, encoders: Encoders | None, channels: int) -> AudioEncoder:
    if source == "scratch":
        return _scratch(encoders, channels)
    if source != "encoders":
        raise InputError(f"expected audio_branch encoders, scratch or none, got {source!r}")
    if encoders is None:
        raise InputError("audio_branch=encoders needs the encoders of a pretraining run, got none")
    if not accepts(encoders, channels):
        features = encoders.features
        raise InputError(
            f"audio_branch=encoders: expected encoders whose features take {channels} channel(s), such as {_SCRATCH}, "
            f"got {features.name}, which takes {' or '.join(map(str, features.accepted))}; set audio_branch=scratch or "
            "audio_branch=none"
        )
    return deepcopy(encoders.audio)


def _scratch(encoders: Encoders | None, channels: int) -> AudioEncoder:
    """The architecture of encoders with random weights; statistics of features are theirs, where these fit."""
    model = encoders.model_config if encoders else ModelConfig()
    config = encoders.feature_config if encoders else FeatureConfig()
    features = Features(config)
    if channels not in features.accepted:
        features = Features(replace(config, name=_SCRATCH))
    elif encoders:
        features = deepcopy(encoders.features)
    return AudioEncoder(features, audio_tower(model, features.maps), model.audio or model.preset)
