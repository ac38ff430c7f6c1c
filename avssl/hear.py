"""The HEAR API (https://hearbenchmark.com/hear-api.html): pretrained encoders as one function of mono sound.

HEAR's sound has one channel. For features that start from four it is W alone, silent in Y, Z and X: a sound from
nowhere. For those that start from two it is left and right at once.
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
"""Hz that HEAR gives sound in."""
BATCH = 64
"""Windows in one pass through the tower."""


@dataclass(frozen=True)
class _Window:
    seconds: float | None


class HearModel(nn.Module):
    """The audio tower, for sound with one channel.

    Args:
        encoders: pretrained.
        seconds: of audio in one embedding; None: the encoders' own.
        hop: milliseconds between timestamps; HEAR asks for 50 or less.

    Raises:
        ValueError: `seconds` or `hop` is not positive, or seconds are not given and the encoders carry no geometry.
    """

    def __init__(self, encoders: Encoders, seconds: float | None = None, hop: float = 50.0) -> None:
        super().__init__()
        seconds = resolve_geometry(_Window(seconds), encoders.geometry, {"seconds": "seconds"}).seconds
        assert seconds is not None
        if not (seconds > 0 and hop > 0):
            raise InputError(f"HEAR's windows want seconds > 0 and hop > 0, not {seconds} and {hop}")
        self.audio = encoders.audio
        self.heard_rate = encoders.sample_rate
        """Hz that the encoders take."""
        self.sample_rate = next((rate for rate in RATES if rate % self.heard_rate == 0), RATES[-1])
        """Hz that sound must have: one of HEAR's, resampled here where the encoders take another."""
        self.scene_embedding_size = self.timestamp_embedding_size = encoders.audio_width
        self.samples = round(seconds * encoders.sample_rate)
        """Of a window."""
        self.hop = hop

    def heard(self, audio: Tensor) -> Tensor:
        """`(sounds, samples)` at the encoders' rate."""
        return resample(audio.detach().cpu().float(), self.sample_rate, self.heard_rate).to(audio.device)

    def forward(self, windows: Tensor) -> Tensor:
        """Embed `(windows, samples)` of mono sound: `(windows, width)`."""
        return torch.cat([self.audio(self._spread(some[:, None])) for some in torch.split(windows, BATCH)])

    def _spread(self, audio: Tensor) -> Tensor:
        """`(windows, 1, samples)` to the channels that the features start from."""
        channels = self.audio.features.audio_channels
        if 1 in self.audio.features.accepted:
            return audio
        return from_stereo(audio) if channels == 4 else audio.expand(-1, channels, -1)


def load_model(model_file_path: str = "", seconds: float | None = None, hop: float = 50.0) -> HearModel:
    """A model for the two functions below.

    Args:
        model_file_path: run folder, or its encoders folder.
        seconds: of audio in one embedding; None: the encoders' own.
        hop: milliseconds between timestamps.

    Raises:
        ValueError: no encoders there, or seconds are not given and the encoders carry no geometry.
    """
    if not model_file_path:
        raise InputError("load_model wants the path of encoders: avssl ships no weights")
    return HearModel(Encoders.from_pretrained(model_file_path), seconds, hop).eval()


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Embeddings of windows around timestamps, the first at 0 ms; beyond the sound there is silence.

    Args:
        audio: float `(sounds, samples)` at `model.sample_rate`, full scale 1, on the model's device.
        model: of `load_model`.

    Returns:
        `(sounds, timestamps, width)` float32, and the timestamps `(sounds, timestamps)` in milliseconds.

    Raises:
        ValueError: not a model of ours, or sound of another shape.
    """
    _check(audio, model)
    count = 1 + int(audio.shape[1] * 1000 / model.sample_rate / model.hop)
    stamps = torch.arange(count, dtype=torch.float32, device=audio.device) * model.hop
    begins = [round(stamp * model.heard_rate / 1000) for stamp in stamps.tolist()]
    wide = nn.functional.pad(model.heard(audio), (model.samples // 2, model.samples))
    with torch.no_grad():
        found = [model(torch.stack([waveform[at : at + model.samples] for at in begins])) for waveform in wide]
    return torch.stack(found), stamps.expand(len(audio), -1).contiguous()


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """One embedding of each sound: the mean over windows that overlap by half.

    Args:
        audio: float `(sounds, samples)` at `model.sample_rate`, full scale 1, on the model's device.
        model: of `load_model`.

    Returns:
        `(sounds, width)` float32.

    Raises:
        ValueError: not a model of ours, or sound of another shape.
    """
    _check(audio, model)
    waveform = model.heard(audio)
    wide = nn.functional.pad(waveform, (0, max(0, model.samples - waveform.shape[1])))
    windows = wide.unfold(1, model.samples, max(1, model.samples // 2))
    with torch.no_grad():
        return torch.stack([model(some).mean(0) for some in windows])


def _check(audio: Tensor, model: HearModel) -> None:
    if not isinstance(model, HearModel):
        raise InputError(f"expected the model that avssl.hear.load_model gave, not {type(model).__name__}")
    if audio.ndim != 2 or not audio.numel():
        raise ValueError(f"HEAR's audio is (sounds, samples), this is {tuple(audio.shape)}")
