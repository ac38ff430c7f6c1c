"""HEAR API (https://hearbenchmark.com/hear-api.html) of pretrained audio encoders, for mono audio.

For features of four channels, mono audio is encoded as W only, with Y, Z and X silent (no directional information).
For features of two channels, it is both left and right.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avssl.errors import InputError
from avssl.models.encoders import Encoders
from avssl.models.geometry import resolve_geometry
from avssl.spatial.ambisonics import from_stereo
from avssl.spatial.resample import resample

RATES = (16000, 22050, 44100, 48000)
"""Hz; sample rates of HEAR."""
BATCH = 64
"""Windows per batch."""


@dataclass(frozen=True)
class _Window:
    seconds: float | None


class HearModel(nn.Module):
    """Audio encoder for mono audio.

    Args:
        encoders: pretrained encoders.
        seconds: length of a window; None: that of pretraining.
        hop: milliseconds between timestamps; HEAR requires 50 or less.

    Raises:
        ValueError: `seconds` or `hop` not positive, or `seconds` is None for encoders without geometry.
    """

    def __init__(self, encoders: Encoders, seconds: float | None = None, hop: float = 50.0) -> None:
        super().__init__()
        seconds = resolve_geometry(_Window(seconds), encoders.geometry, {"seconds": "seconds"}).seconds
        assert seconds is not None
        if not (seconds > 0 and hop > 0):
            raise InputError(f"expected seconds > 0 and hop > 0, got {seconds} and {hop}")
        self.audio = encoders.audio
        self.encoder_rate = encoders.sample_rate
        """Hz of the encoders."""
        self.sample_rate = next((rate for rate in RATES if rate % self.encoder_rate == 0), RATES[-1])
        """Hz of the input: one of HEAR's rates, resampled to that of the encoders."""
        self.scene_embedding_size = self.timestamp_embedding_size = encoders.audio_width
        self.samples = round(seconds * encoders.sample_rate)
        """Samples of a window."""
        self.hop = hop

    def resample(self, audio: Tensor) -> Tensor:
        """Resample `(clips, samples)` to the rate of the encoders."""
        return resample(audio.detach().cpu().float(), self.sample_rate, self.encoder_rate).to(audio.device)

    def forward(self, windows: Tensor) -> Tensor:
        """Embed windows of mono audio `(windows, samples)`: `(windows, width)`."""
        return torch.cat([self.audio(self._to_channels(batch[:, None])) for batch in torch.split(windows, BATCH)])

    def _to_channels(self, audio: Tensor) -> Tensor:
        """`(windows, 1, samples)` to the channel count of the features."""
        channels = self.audio.features.audio_channels
        if 1 in self.audio.features.accepted:
            return audio
        return from_stereo(audio) if channels == 4 else audio.expand(-1, channels, -1)


def load_model(model_file_path: str = "", seconds: float | None = None, hop: float = 50.0) -> HearModel:
    """Load a model for `get_timestamp_embeddings` and `get_scene_embeddings`.

    Args:
        model_file_path: run folder, or its encoders folder.
        seconds: length of a window; None: that of pretraining.
        hop: milliseconds between timestamps.

    Raises:
        ValueError: no encoders there, or `seconds` is None for encoders without geometry.
    """
    if not model_file_path:
        raise InputError("expected the path of encoders for load_model, got none; avssl ships no weights")
    return HearModel(Encoders.from_pretrained(model_file_path), seconds, hop).eval()


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Embeddings of windows centred at timestamps, the first at 0 ms; audio is zero-padded.

    Args:
        audio: float `(clips, samples)` at `model.sample_rate`, full scale 1, on the model's device.
        model: from `load_model`.

    Returns:
        `(clips, timestamps, width)` float32, and the timestamps `(clips, timestamps)` in milliseconds.

    Raises:
        ValueError: not a `HearModel`, or audio of another shape.
    """
    _check(audio, model)
    count = 1 + int(audio.shape[1] * 1000 / model.sample_rate / model.hop)
    timestamps = torch.arange(count, dtype=torch.float32, device=audio.device) * model.hop
    starts = [round(timestamp * model.encoder_rate / 1000) for timestamp in timestamps.tolist()]
    padded = nn.functional.pad(model.resample(audio), (model.samples // 2, model.samples))
    with torch.no_grad():
        embeddings = [model(torch.stack([row[at : at + model.samples] for at in starts])) for row in padded]
    return torch.stack(embeddings), timestamps.expand(len(audio), -1).contiguous()


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """One embedding per clip: the mean over windows that overlap by half.

    Args:
        audio: float `(clips, samples)` at `model.sample_rate`, full scale 1, on the model's device.
        model: from `load_model`.

    Returns:
        `(clips, width)` float32.

    Raises:
        ValueError: not a `HearModel`, or audio of another shape.
    """
    _check(audio, model)
    waveform = model.resample(audio)
    padded = nn.functional.pad(waveform, (0, max(0, model.samples - waveform.shape[1])))
    windows = padded.unfold(1, model.samples, max(1, model.samples // 2))
    with torch.no_grad():
        return torch.stack([model(clip).mean(0) for clip in windows])


def _check(audio: Tensor, model: HearModel) -> None:
    if not isinstance(model, HearModel):
        raise InputError(f"expected a model from avssl.hear.load_model, got {type(model).__name__}")
    if audio.ndim != 2 or not audio.numel():
        raise ValueError(f"expected audio (clips, samples), got {tuple(audio.shape)}")
