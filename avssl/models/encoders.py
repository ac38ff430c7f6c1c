"""Audio and video encoders: the result of pretraining, and the input of downstream heads."""

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
from avssl.errors import InputError
from avssl.io.tensor_files import load_tensors, read_tensors
from avssl.models.embedder import module_fingerprint
from avssl.models.encoder_io import (
    CONFIG,
    CONVENTION,
    WEIGHTS,
    find_folder,
    read_config,
    write_folder,
)
from avssl.models.geometry import InputGeometry
from avssl.models.tower import Tower, TowerOutput
from avssl.models.tower_factory import audio_tower, check_backbones, video_tower
from avssl.spatial.features import Features

# ImageNet statistics of torchvision, as used by AVSA.
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

    def forward(self, audio: Tensor, rotation: Tensor | None = None) -> Tensor:
        """Embed waveforms.

        Args:
            audio: `(..., channels, samples)`, full scale 1, at the encoders' sample rate; ambiX order W, Y, Z, X.
            rotation: `(..., K, 3, 3)`, K rotations of each sound field, as of `ambisonics.rotate`; None: as recorded.
                Faster than rotated waveforms, and equal up to rounding.

        Returns:
            `(..., width)`, float32; `(..., K, width)` with rotations.

        Raises:
            ValueError: a channel count that the features do not accept.
        """
        embedding: Tensor = self.tower(self._extract_features(audio, rotation))
        return embedding.float().reshape(*(audio if rotation is None else rotation).shape[:-2], self.width)

    def forward_features(self, audio: Tensor, rotation: Tensor | None = None) -> TowerOutput:
        """Embed `(clips, channels, samples)`; also returns the feature maps `(clips, channels, time, bands)`.

        With rotations `(clips, K, 3, 3)`, see `forward`, each clip becomes K clips, one after the other.
        """
        return self.tower.forward_features(self._extract_features(audio, rotation))

    def maps(self, audio: Tensor) -> Tensor:
        """Feature maps of the tower before pooling.

        Args:
            audio: `(clips, channels, samples)`, see `forward`.

        Returns:
            `(clips, channels, time, bands)`; time and bands reduced by the tower's strides, bands from low to high.

        Raises:
            ValueError: a channel count that the features do not accept, or a tower without maps.
        """
        return self.tower.maps(self._extract_features(audio))

    def early(self, audio: Tensor) -> Tensor:
        """Feature maps of the tower's first block `(clips, channels, time, bands)`, of `(clips, channels, samples)`.

        Raises:
            ValueError: not supported by the tower.
        """
        return self.tower.early(self._extract_features(audio))

    def _extract_features(self, audio: Tensor, rotation: Tensor | None = None) -> Tensor:
        if audio.ndim < 2:
            raise ValueError(f"expected audio (..., channels, samples), got {tuple(audio.shape)}")
        maps: Tensor = self.features(audio.reshape(math.prod(audio.shape[:-2]), *audio.shape[-2:]), rotation)
        return maps.flatten(0, -4).contiguous(memory_format=torch.channels_last)


class VideoEncoder(nn.Module):
    """Video embedder: ImageNet normalisation, then a tower.

    Args:
        model: tower by name.
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
            ValueError: not three colour channels, or no time axis.
        """
        embedding: Tensor = self.tower(self.normalize(frames))
        return embedding.float().reshape(*frames.shape[:-4], self.width)

    def fingerprint(self) -> str:
        """Hash of configuration and weights, 64 hexadecimal digits."""
        return module_fingerprint(self, self._settings)

    def forward_features(self, frames: Tensor) -> TowerOutput:
        """Embed `(clips, time, 3, height, width)`; also returns the feature maps, see `maps`."""
        return self.tower.forward_features(self.normalize(frames))

    def maps(self, frames: Tensor) -> Tensor:
        """Feature maps of the tower before pooling.

        Args:
            frames: `(clips, time, 3, height, width)` RGB, uint8 or float in 0..255.

        Returns:
            `(clips, channels, time, rows, columns)`; time, rows and columns reduced by the strides of the tower.

        Raises:
            ValueError: not three colour channels, no time axis, or a tower without maps.
        """
        return self.tower.maps(self.normalize(frames))

    def normalize(self, frames: Tensor) -> Tensor:
        """Input of the tower, `(clips, 3, time, height, width)`, of frames as in `forward`."""
        if frames.ndim < 4 or frames.shape[-3] != 3:
            raise ValueError(f"expected frames (..., time, 3, height, width), got {tuple(frames.shape)}")
        pixels = frames.reshape(-1, *frames.shape[-4:]).movedim(-3, -1).contiguous()
        rows, width = pixels.flatten(-2), pixels.shape[-2]  # three values are too few for vectorised code
        normalized = (rows - self.mean.repeat(width)).mul_(self.scale.repeat(width))
        return normalized.view(pixels.shape).movedim(-1, 1)


class Encoders(nn.Module):
    """Audio and video encoder, with feature front-end, sample rate and ambisonic convention.

    Args:
        model: towers by name; its `init` is not read here, see `build_encoders`.
        features: audio features.
        geometry: windows and crops of pretraining, the defaults of downstream heads; None: unknown.

    Raises:
        ValueError: unknown preset, backbone or feature.
    """

    convention = CONVENTION
    """Ambisonic convention: ambiX, ACN order W, Y, Z, X with SN3D gain."""

    def __init__(self, model: ModelConfig, features: FeatureConfig, geometry: InputGeometry | None = None) -> None:
        super().__init__()
        self.model_config, self.feature_config = replace(model, init=""), features
        self.geometry = geometry
        front_end = Features(features)
        self.audio = AudioEncoder(front_end, audio_tower(model, front_end.maps), model.audio or model.preset)
        self.video = VideoEncoder(model)

    @property
    def features(self) -> Features:
        """Feature front-end of the audio encoder."""
        return self.audio.features

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms that `audio` takes."""
        return self.feature_config.sample_rate

    @property
    def audio_width(self) -> int:
        """Dimension of audio embeddings."""
        return self.audio.width

    @property
    def video_width(self) -> int:
        """Dimension of video embeddings."""
        return self.video.width

    def fit_features(self, waveforms: Iterable[Tensor]) -> None:
        """Fit the features' statistics; see `Features.fit`."""
        self.features.fit(waveforms)

    def fingerprint(self) -> str:
        """Hash of configuration and weights of both towers, 64 hexadecimal digits."""
        return module_fingerprint(self, self.model_config, self.feature_config)

    def save(
        self,
        folder: Path | str,
        training: Mapping[str, Any] | None = None,
        *,
        half: bool = False,
        results: Mapping[str, Any] | None = None,
    ) -> None:
        """Write `config.json`, `model.safetensors` and the model card `README.md`, each atomically.

        Args:
            folder: created if missing.
            training: facts about the training for the model card, name -> text or number.
            half: in half precision; see `write_folder`.
            results: what was measured of these weights, for the model card, name -> text or number.
        """
        description = self._description(dict(training or {})) | ({"results": dict(results)} if results else {})
        write_folder(Path(folder), description, self.state_dict(), half=half)

    @classmethod
    def from_pretrained(cls, source: Path | str) -> Encoders:
        """Load encoders, in evaluation mode; nothing is unpickled.

        Args:
            source: a run folder or its `encoders/`; the name of encoders that are installed, such as
                `avsa-foa-iv-small`, see `avssl list`; or `hf://USER/NAME[@REVISION]`, a repository of the Hugging Face
                Hub, which is downloaded unless it is in its cache. Only this form uses the network.

        Raises:
            ValueError: no encoders there, broken file, weights that do not match, another format version, or a failed
                download.
        """
        path = find_folder(source)
        config = read_config(path)
        where = str(path / CONFIG)
        geometry = config.get("geometry")  # encoders saved before it was stored have none
        model = fill(ModelConfig, config["model"], where=where)
        features = fill(FeatureConfig, config["features"], where=where)
        tensors = read_tensors(path / WEIGHTS)
        check_backbones(model, Features.count_maps(features), tensors, str(path / WEIGHTS))
        encoders = cls(model, features, fill(InputGeometry, geometry, where=where) if geometry else None)
        load_tensors(encoders, tensors, str(path / WEIGHTS))
        if not bool((encoders.features.std > 0).all()):
            raise InputError(f"{path / WEIGHTS}: expected positive deviations as audio.features.std, got others")
        return encoders.eval()

    def _description(self, training: dict[str, Any]) -> dict[str, Any]:
        """Content of `config.json`."""
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
