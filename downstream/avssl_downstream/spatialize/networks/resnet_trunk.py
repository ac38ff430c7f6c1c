"""ResNet without pooling and classifier: the visual network of 2.5D Visual Sound, PseudoBinaural and others."""

from __future__ import annotations

from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from avssl.errors import InputError
from avssl.models.encoders import PIXEL_MEAN, PIXEL_STD
from avssl.models.pretrained import load_weights
from avssl.plugins import hint

STEM = ("conv1", "bn1", "relu", "maxpool")
LAYERS = ("layer1", "layer2", "layer3", "layer4")


class ResNetTrunk(nn.Module):
    """Convolutional layers of a torchvision ResNet, applied per frame; parameters `feature_extraction.{0..7}`.

    Args:
        name: of torchvision, such as `resnet18`.
        stages: layers kept after the stem: 4 in 2.5D Visual Sound (stride 32), 3 in MonoTo3D (stride 16).

    Raises:
        ValueError: not a ResNet of torchvision, or another number of stages.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, name: str = "resnet18", stages: int = 4) -> None:
        from torchvision import models

        super().__init__()
        known = [each for each in models.list_models(module=models) if is_resnet(each)]
        if name not in known:
            raise InputError(f"expected a ResNet of torchvision ({', '.join(known)}), got {name!r}{hint(name, known)}")
        if not 1 <= stages <= len(LAYERS):
            raise InputError(f"expected 1 to {len(LAYERS)} stages of a ResNet, got {stages}")
        network = models.get_model(name, weights=None)
        kept = [getattr(network, each) for each in (*STEM, *LAYERS[:stages])]
        self.feature_extraction = nn.Sequential(*kept)
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN)[:, None, None], persistent=False)
        self.register_buffer("scale", 1 / torch.tensor(PIXEL_STD)[:, None, None], persistent=False)

    def maps(self, frames: Tensor) -> Tensor:
        """Frames `(clips, time, 3, height, width)`, RGB in 0..255, to `(clips, channels, time, rows, columns)`."""
        pixels = (rearrange(frames, "B T C H W -> (B T) C H W") / 255 - self.mean) * self.scale
        maps: Tensor = self.feature_extraction(pixels.contiguous(memory_format=torch.channels_last))  # 15 % faster
        return rearrange(maps, "(B T) C H W -> B C T H W", B=len(frames))

    def load(self, path: Path | str) -> None:
        """Read weights named as in torchvision, with or without classifier, or as in the published checkpoints.

        Raises:
            ValueError: see `load_weights`.
        """
        load_weights(self, path, self._renamed)

    def _renamed(self, name: str) -> str:
        child, _, rest = name.partition(".")
        if child not in (*STEM, *LAYERS):
            return name
        place = (*STEM, *LAYERS).index(child)
        return f"feature_extraction.{place}.{rest}" if place < len(self.feature_extraction) else ""


def is_resnet(name: str) -> bool:
    """Whether torchvision builds this network as a ResNet."""
    return name.startswith(("resnet", "resnext", "wide_resnet"))
