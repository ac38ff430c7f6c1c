"""Visual branch of a generator: video frames to feature maps."""

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

# B clips, C channels, T' time steps, h and w rows and columns of feature maps

NO_FRAMES = "none"
SOURCES = ("encoders", "scratch", NO_FRAMES)
CELL = 8
"""Pixels of a cell of `NoFrames`, the stride of the small video tower."""
_TRIAL = (16, 128, 128)
"""Frames, height and width that every network accepts."""


class VisualBranch(nn.Module):
    """Frames to feature maps, by a network that the user chooses.

    - `encoders`: a copy of the pretrained video tower of a run.
    - `scratch`: the same architecture with random weights; without encoders, the video tower of the `small` preset.
    - `torchvision/NAME`, `timm/NAME`: a backbone, with random weights or those of a local file.
    - `none`: no frames; the coordinates of the cells, the same for all frames: the network is trained on audio alone.

    ResNets of torchvision become a `ResNetTrunk` with feature maps per frame; the strides of other networks in time,
    rows and columns are given by `shape`. Parameters that the feature maps do not depend on are not trained.

    Args:
        source: one of the above.
        encoders: of a pretraining run.
        weights: a `.safetensors` file of the backbone's library, such as ImageNet's; empty: random.
        stages: layers of a torchvision ResNet that are kept.
        fine_tune: train the branch too; otherwise weights and norm statistics are frozen.

    Raises:
        ValueError: an unknown source, `encoders` without encoders, weights that do not fit or are not for a backbone,
            a network without feature maps.
    """

    channels: int
    """C, of the feature maps."""

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
        if stages != len(LAYERS) and source != NO_FRAMES and not is_resnet(source.removeprefix("torchvision/")):
            raise InputError(f"expected a torchvision ResNet for {stages} stages, got {source!r}")
        self.network = _network(source, encoders, stages)
        if weights:
            _load(self.network, source, weights)
        self.channels = self.shape(*_TRIAL)[0]
        self._choose_parameters()

    def maps(self, frames: Tensor) -> Tensor:
        """Feature maps of frames.

        Args:
            frames: `(B, time, 3, height, width)` RGB, uint8 or float in 0..255; or flow as an image, see
                `avssl.models.optical_flow.flow_to_rgb`.

        Returns:
            `(B, C, T', h, w)`; rows from the top, columns from the left.
        """
        with torch.set_grad_enabled(self.fine_tune and torch.is_grad_enabled()):
            found: Tensor = self.network.maps(frames)  # type: ignore[operator]
        return found

    def forward(self, frames: Tensor) -> Tensor:
        """See `maps`."""
        return self.maps(frames)

    def shape(self, time: int, height: int, width: int) -> tuple[int, int, int, int]:
        """`(C, T', h, w)` of the feature maps for an input size, without computing them."""
        with torch.no_grad():
            channels, steps, rows, columns = self._on_meta(time, height, width)[0].shape[1:]
        return channels, steps, rows, columns

    def train(self, mode: bool = True) -> VisualBranch:
        """Set training mode of norms and dropout, unless the branch is frozen."""
        super().train(mode and self.fine_tune)
        return self

    def _on_meta(self, time: int, height: int, width: int) -> tuple[Tensor, list[nn.Parameter]]:
        """Feature maps on the meta device, and the parameters of the copy that computed them."""
        copy = deepcopy(self.network).to("meta")
        maps: Tensor = copy.maps(torch.zeros(2, time, 3, height, width, device="meta"))  # type: ignore[operator]
        return maps, list(copy.parameters())

    def _choose_parameters(self) -> None:
        """Train only parameters that the maps depend on: DDP fails on parameters without a gradient."""
        self.requires_grad_(True)
        if not any(True for _ in self.network.parameters()):
            return
        train_only_used(self.network, *self._on_meta(*_TRIAL), self.fine_tune)
        self.train()


@torch.enable_grad()
def train_only_used(network: nn.Module, maps: Tensor, parameters: list[nn.Parameter], fine_tune: bool) -> None:
    """Train the parameters of a network that its feature maps depend on, or none.

    Args:
        network: changed in place.
        maps: of a copy of it.
        parameters: of the copy, in the same order.
        fine_tune: train any.
    """
    gradients = torch.autograd.grad(maps.sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        parameter.requires_grad_(fine_tune and gradient is not None)


class NoFrames(nn.Module):
    """In the place of feature maps, coordinates of the cells, which do not depend on the frames; no parameters.

    A generator can thus learn in which directions sources are, on the average of its training clips, and no more.
    """

    def maps(self, frames: Tensor) -> Tensor:
        """Frames `(B, time, 3, height, width)` to `(B, 4, time, height / 8, width / 8)`.

        The planes are the cosine and sine of the angle that turns once over the width, the height from 1 at the top to
        -1, and ones.
        """
        batch, time, _, height, width = frames.shape
        rows, columns = max(1, height // CELL), max(1, width // CELL)
        down = 1 - 2 * (torch.arange(rows, device=frames.device) + 0.5) / rows
        angle = 2 * torch.pi * (torch.arange(columns, device=frames.device) + 0.5) / columns
        across = torch.stack([angle.cos(), angle.sin()])[:, None].expand(-1, rows, -1)
        planes = torch.cat([across, down[None, :, None].expand(1, rows, columns), across.new_ones(1, rows, columns)])
        return planes[None, :, None].expand(batch, -1, time, -1, -1)


def _network(source: str, encoders: Encoders | None, stages: int) -> nn.Module:
    library, _, name = source.partition("/")
    if source == NO_FRAMES:
        return NoFrames()
    if source == "encoders":
        if encoders is None:
            raise InputError("visual_branch=encoders needs the encoders of a pretraining run, got none")
        return deepcopy(encoders.video)
    if source == "scratch":
        return VideoEncoder(encoders.model_config if encoders else ModelConfig())
    if library not in LIBRARIES:
        known = (*SOURCES, *(f"{each}/NAME" for each in LIBRARIES))
        raise InputError(f"expected visual_branch {', '.join(known)}, got {source!r}{hint(source, known)}")
    if library == "torchvision" and is_resnet(name):
        return ResNetTrunk(name, stages)
    return VideoEncoder(ModelConfig(video=source))


def _load(network: nn.Module, source: str, weights: str) -> None:
    if source in SOURCES:
        raise InputError(f"{weights}: expected visual_branch torchvision/NAME or timm/NAME for weights, got {source!r}")
    if isinstance(network, ResNetTrunk):
        network.load(weights)
    else:
        load_weights(network.tower.network, weights)  # type: ignore[union-attr,arg-type]
