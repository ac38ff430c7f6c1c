"""Where in a picture what can be seen: the branch that a generator of sound looks through."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from avssl.config import ModelConfig
from avssl.errors import InputError
from avssl.models.backbones import LIBRARIES
from avssl.models.encoders import Encoders, VideoEncoder
from avssl.models.pretrained import load_weights
from avssl.plugins import hint
from avssl_downstream.spatialize.networks.resnet_trunk import LAYERS, ResNetTrunk, is_resnet

# B clips, C channels, T' steps in time, h and w rows and columns

SOURCES = ("encoders", "scratch")
_TRIAL = (16, 128, 128)
"""Frames, height and width that every network takes."""


class VisualBranch(nn.Module):
    """Frames to maps, by a network of one's choice.

    - `encoders`: a copy of the pretrained picture tower of a run.
    - `scratch`: the same network with new weights; without encoders, the picture tower of the `small` preset.
    - `torchvision/NAME`, `timm/NAME`: a backbone, with new weights or those of a local file.

    ResNets of torchvision are kept as `ResNetTrunk` and give maps of every frame; other networks stride time, rows and
    columns as they like: ask `shape`. Parameters that the maps do not depend on are not trained.

    Args:
        source: one of the above.
        encoders: of a pretraining run.
        weights: a `.safetensors` file of the backbone's library, such as ImageNet's; nothing: random.
        stages: layers of a torchvision ResNet that are kept.
        fine_tune: train the branch too; otherwise it stays as it is, norms included.

    Raises:
        ValueError: unknown source, `encoders` without any, weights that do not fit or have nowhere to go, a network
            that has no maps.
    """

    channels: int
    """Of the maps."""

    def __init__(
        self,
        source: str = "scratch",
        encoders: Encoders | None = None,
        weights: str = "",
        stages: int = len(LAYERS),
        fine_tune: bool = True,
    ) -> None:
        super().__init__()
        self.source, self.fine_tune = source, fine_tune
        if stages != len(LAYERS) and not is_resnet(source.removeprefix("torchvision/")):
            raise InputError(f"{stages} stages are of a ResNet of torchvision, not of {source!r}")
        self.network = _network(source, encoders, stages)
        if weights:
            _load(self.network, source, weights)
        self.channels = self.shape(*_TRIAL)[0]
        self._choose_parameters()

    def maps(self, frames: Tensor) -> Tensor:
        """What is seen where.

        Args:
            frames: `(B, time, 3, height, width)` RGB, uint8 or float in 0..255; or flow as `data.flow` paints it.

        Returns:
            `(B, C, T', h, w)`, `channels` of them; rows from the top, columns from the left.
        """
        with torch.set_grad_enabled(self.fine_tune and torch.is_grad_enabled()):
            found: Tensor = self.network.maps(frames)  # type: ignore[operator]
        return found

    def forward(self, frames: Tensor) -> Tensor:
        """The maps."""
        return self.maps(frames)

    def shape(self, time: int, height: int, width: int) -> tuple[int, int, int, int]:
        """`(C, T', h, w)` of the maps of so many frames of this size, without computing them."""
        with torch.no_grad():
            channels, steps, rows, columns = self._on_paper(time, height, width)[0].shape[1:]
        return channels, steps, rows, columns

    def train(self, mode: bool = True) -> VisualBranch:
        """Switch norms and dropout, unless the branch stays as it is."""
        super().train(mode and self.fine_tune)
        return self

    def _on_paper(self, time: int, height: int, width: int) -> tuple[Tensor, list[nn.Parameter]]:
        """Maps without numbers in them, and the parameters of the copy that they are of."""
        copy = deepcopy(self.network).to("meta")
        maps: Tensor = copy.maps(torch.zeros(2, time, 3, height, width, device="meta"))  # type: ignore[operator]
        return maps, list(copy.parameters())

    def _choose_parameters(self) -> None:
        """Train what the maps depend on: a gradient that never comes would stop distributed training."""
        self.requires_grad_(True)
        maps, on_paper = self._on_paper(*_TRIAL)
        slopes = torch.autograd.grad(maps.sum(), on_paper, allow_unused=True)
        for parameter, slope in zip(self.network.parameters(), slopes, strict=True):
            parameter.requires_grad_(self.fine_tune and slope is not None)
        self.train()


def _network(source: str, encoders: Encoders | None, stages: int) -> nn.Module:
    library, _, name = source.partition("/")
    if source == "encoders":
        if encoders is None:
            raise InputError("a picture branch from encoders needs the folder of a pretraining run; there is none")
        return deepcopy(encoders.video)
    if source == "scratch":
        return VideoEncoder(encoders.model_config if encoders else ModelConfig())
    if library not in LIBRARIES:
        known = (*SOURCES, *(f"{each}/NAME" for each in LIBRARIES))
        raise InputError(f"a picture branch is {', '.join(known)}, not {source!r}{hint(source, known)}")
    if library == "torchvision" and is_resnet(name):
        return ResNetTrunk(name, stages)
    return VideoEncoder(ModelConfig(video=source))


def _load(network: nn.Module, source: str, weights: str) -> None:
    if source in SOURCES:
        raise InputError(f"{weights}: weights go into a backbone, torchvision/NAME or timm/NAME, not into {source!r}")
    if isinstance(network, ResNetTrunk):
        network.load(weights)
    else:
        load_weights(network.tower.network, weights)  # type: ignore[union-attr,arg-type]
