"""Towers built from a configuration."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from avssl.config import ModelConfig
from avssl.errors import InputError
from avssl.io.tensor_files import check_shapes
from avssl.models.backbones import audio_backbone, video_backbone
from avssl.models.conv2d import Conv2D10
from avssl.models.r2plus1d import R2Plus1D
from avssl.models.small import SmallAudio, SmallVideo
from avssl.models.tower import Tower


def video_tower(config: ModelConfig) -> Tower:
    """Video tower of a configuration, with random weights.

    Raises:
        ValueError: unknown backbone.
    """
    if config.video:
        return _channels_last(video_backbone(config.video))
    return _channels_last({"small": SmallVideo, "avsa": R2Plus1D}[config.preset]())


def audio_tower(config: ModelConfig, maps: int) -> Tower:
    """Audio tower of a configuration for `maps` feature maps, with random weights.

    Raises:
        ValueError: unknown backbone.
    """
    if config.audio:
        return _channels_last(audio_backbone(config.audio, maps))
    return _channels_last({"small": SmallAudio, "avsa": Conv2D10}[config.preset](maps))


def check_backbones(config: ModelConfig, maps: int, tensors: Mapping[str, Tensor], where: str) -> None:
    """Check that weights are those of the named backbones before these take memory, up to tens of gigabytes.

    Args:
        config: towers by name; backbones of timm are built without storage and compared.
        maps: number of feature maps.
        tensors: weights of encoders.
        where: file of the weights, for errors.

    Raises:
        ValueError: unknown backbone, or weights of another one.
    """
    for part, name in (("audio", config.audio), ("video", config.video)):
        if name.startswith("timm/"):
            with torch.device("meta"):
                tower = audio_tower(config, maps) if part == "audio" else video_tower(config)
            prefix = f"{part}.tower."
            own = {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
            check_shapes(tower, own, f"{where}: {part}.tower")


def check_backbone_size(name: str, tensors: Mapping[str, Tensor], where: str, maps: int = 3) -> None:
    """Check that a file holds enough weights for a backbone of timm before the backbone takes memory.

    Args:
        name: of a tower; others than those of timm are small.
        tensors: all weights of the file.
        where: the file, for errors.
        maps: input channels of the backbone: 3 of a video tower, feature maps of an audio tower.

    Raises:
        ValueError: unknown backbone, or fewer weights than it has.
    """
    if name.startswith("timm/"):
        with torch.device("meta"):
            count = sum(each.numel() for each in audio_backbone(name, maps).parameters())
        if count > (held := sum(each.numel() for each in tensors.values())):
            raise InputError(f"{where}: expected the {count} weights of {name}, got {held} in all")


def _channels_last(tower: Tower) -> Tower:
    """Store convolution weights in channels-last format, for fast kernels on CPUs and GPUs."""
    for module in tower.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        elif isinstance(module, nn.Conv3d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last_3d)
    return tower
