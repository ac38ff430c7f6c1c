"""Encoders: what pretraining makes and downstream heads use."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avssl import __version__
from avssl.config import FeatureConfig, ModelConfig, fill
from avssl.models.embedder import module_fingerprint
from avssl.models.encoder_io import (
    CONFIG,
    CONVENTION,
    WEIGHTS,
    find_folder,
    load_tensors,
    read_config,
    read_tensors,
    write_folder,
)
from avssl.models.geometry import InputGeometry
from avssl.models.tower import Tower, TowerOutput
from avssl.models.tower_factory import audio_tower, video_tower
from avssl.spatial.features import Features

# torchvision's ImageNet statistics, which AVSA uses too.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)


class AudioEncoder(nn.Module):
    """Audio embedder: features of the waveform, then a tower; see `AudioEmbedder`.

    Args:
        features: waveform to feature maps.
        tower: feature maps to embeddings.
        description: of the tower, where its type and weights do not determine it; part of the fingerprint.
    """

    def __init__(self, features: Features, tower: Tower, description: str = "") -> None:
        super().__init__()
        self.features, self.tower = features, tower
        self.width = tower.width
        self._description = description

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms."""
        return self.features.config.sample_rate

    def with_features(self, features: Features) -> AudioEncoder:
        """The same tower, shared, on other features with as many maps."""
        return AudioEncoder(features, self.tower, self._description)

    def fingerprint(self) -> str:
        """Hash of features, tower and weights, 64 hexadecimal digits."""
        types = type(self.tower).__qualname__, type(self.features).__qualname__
        return module_fingerprint(self, self._description, *types, self.features.config)

    def forward(self, audio: Tensor) -> Tensor:
        """Embed sounds.

        Args:
            audio: `(..., channels, samples)`, full scale 1, at the encoders' sample rate; ambiX order W, Y, Z, X.

        Returns:
            `(..., width)`, float32.

        Raises:
            ValueError: another number of channels than the features need.
        """
        embedding: Tensor = self.tower(self._extract_features(audio))
        return embedding.float().reshape(*audio.shape[:-2], self.width)

    def forward_features(self, audio: Tensor) -> TowerOutput:
        """Embed `(sounds, channels, samples)`, and keep the maps `(sounds, channels, time, bands)` of the tower."""
        return self.tower.forward_features(self._extract_features(audio))

    def early(self, audio: Tensor) -> Tensor:
        """Maps of the tower's first block `(sounds, channels, time, bands)`, of `(sounds, channels, samples)`.

        Raises:
            ValueError: the tower gives none.
        """
        return self.tower.early(self._extract_features(audio))

    def _extract_features(self, audio: Tensor) -> Tensor:
        if audio.ndim < 2:
            raise ValueError(f"sound is (..., channels, samples), not {tuple(audio.shape)}")
        maps: Tensor = self.features(audio.reshape(math.prod(audio.shape[:-2]), *audio.shape[-2:]))
        return maps.contiguous(memory_format=torch.channels_last)


class VideoEncoder(nn.Module):
    """Frames to embedding: ImageNet normalisation, then a tower.

    Args:
        model: names the tower.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.tower = video_tower(model)
        self.width = self.tower.width
        self._settings = model.video or model.preset
        self.register_buffer("mean", 255 * torch.tensor(PIXEL_MEAN), persistent=False)
        self.register_buffer("scale", 1 / (255 * torch.tensor(PIXEL_STD)), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Embed clips of frames.

        Args:
            frames: `(..., time, 3, height, width)` RGB, uint8 or float in 0..255.

        Returns:
            `(..., width)`, float32.

        Raises:
            ValueError: not three colours, or no axis of time.
        """
        embedding: Tensor = self.tower(self._normalize(frames))
        return embedding.float().reshape(*frames.shape[:-4], self.width)

    def fingerprint(self) -> str:
        """Hash of configuration and weights, 64 hexadecimal digits."""
        return module_fingerprint(self, self._settings)

    def forward_features(self, frames: Tensor) -> TowerOutput:
        """Embed `(clips, time, 3, height, width)`, and keep the maps that tell left from right; see `maps`."""
        return self.tower.forward_features(self._normalize(frames))

    def maps(self, frames: Tensor) -> Tensor:
        """What the tower sees where, before it is pooled into an embedding.

        Args:
            frames: `(clips, time, 3, height, width)` RGB, uint8 or float in 0..255.

        Returns:
            `(clips, channels, time, rows, columns)`; time, rows and columns as the tower has strided them.

        Raises:
            ValueError: not three colours, no axis of time, or a tower without maps.
        """
        return self.tower.maps(self._normalize(frames))

    def _normalize(self, frames: Tensor) -> Tensor:
        if frames.ndim < 4 or frames.shape[-3] != 3:
            raise ValueError(f"frames are (..., time, 3, height, width), not {tuple(frames.shape)}")
        pixels = frames.reshape(-1, *frames.shape[-4:]).movedim(-3, -1).contiguous()
        return ((pixels - self.mean) * self.scale).movedim(-1, 1)


class Encoders(nn.Module):
    """Both towers, the feature front-end, the sample rate and the convention of sound.

    Args:
        model: names the towers; its `weights` are not read here, see `build_encoders`.
        features: how sound becomes input.
        geometry: windows and crops of the training, which downstream heads default to; None: unknown.

    Raises:
        ValueError: unknown preset, backbone or feature.
    """

    convention = CONVENTION
    """Order and gain of the channels of sound: ambiX, ACN order W, Y, Z, X with SN3D gain."""

    def __init__(self, model: ModelConfig, features: FeatureConfig, geometry: InputGeometry | None = None) -> None:
        super().__init__()
        self.model_config, self.feature_config = replace(model, init=""), features
        self.geometry = geometry
        front_end = Features(features)
        self.audio = AudioEncoder(front_end, audio_tower(model, front_end.maps), model.audio or model.preset)
        self.video = VideoEncoder(model)

    @property
    def features(self) -> Features:
        """The front-end of the audio tower."""
        return self.audio.features

    @property
    def sample_rate(self) -> int:
        """Hz that `audio` takes."""
        return self.feature_config.sample_rate

    @property
    def audio_width(self) -> int:
        """Numbers of one embedding of sound."""
        return self.audio.width

    @property
    def video_width(self) -> int:
        """Numbers of one embedding of frames."""
        return self.video.width

    def fit_features(self, waveforms: Iterable[Tensor]) -> None:
        """Fit the features' statistics; see `Features.fit`."""
        self.features.fit(waveforms)

    def fingerprint(self) -> str:
        """Hash of configuration and weights of both towers, 64 hexadecimal digits."""
        return module_fingerprint(self, self.model_config, self.feature_config)

    def save(self, folder: Path | str, training: Mapping[str, Any] | None = None) -> None:
        """Write `config.json`, `model.safetensors` and the model card `README.md`, each file whole or not at all.

        Args:
            folder: made if missing.
            training: what the card says about how they were trained, name -> text or number.
        """
        write_folder(Path(folder), self._description(dict(training or {})), self.state_dict())

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Encoders:
        """Encoders from a run folder or its `encoders/`, in evaluation mode; nothing is downloaded or unpickled.

        Raises:
            ValueError: not a folder of encoders, a broken file, weights that do not fit, another version of the format.
        """
        found = find_folder(Path(folder))
        config = read_config(found)
        where = str(found / CONFIG)
        geometry = config.get("geometry")  # encoders saved before it was stored have none
        encoders = cls(
            fill(ModelConfig, config["model"], where=where),
            fill(FeatureConfig, config["features"], where=where),
            fill(InputGeometry, geometry, where=where) if geometry else None,
        )
        load_tensors(encoders, read_tensors(found / WEIGHTS), str(found / WEIGHTS))
        return encoders.eval()

    def _description(self, training: dict[str, Any]) -> dict[str, Any]:
        """What `config.json` says."""
        return {
            "avssl": __version__,
            "model": asdict(self.model_config),
            "features": asdict(self.feature_config),
            "geometry": asdict(self.geometry) if self.geometry else None,
            "sample_rate": self.sample_rate,
            "convention": self.convention,
            "audio": {
                "width": self.audio_width,
                "parameters": _parameters(self.audio),
                "maps": self.features.maps,
                "channels": self.features.audio_channels,
            },
            "video": {"width": self.video_width, "parameters": _parameters(self.video)},
            "training": training,
        }


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
