"""Base class of towers: frames or spectrograms to embeddings and feature maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from avssl.errors import InputError


class TowerOutput(NamedTuple):
    """Embeddings and the feature maps they are pooled from."""

    embedding: Tensor
    """`(batch, width)`."""
    maps: Tensor
    """`(clips, channels, time, rows, columns)` of frames, `(clips, channels, time, bands)` of spectrograms: rows from
    the top, columns from the left, bands from low to high."""


class Tower(nn.Module, ABC):
    """Network with pooled embeddings and feature maps that keep position, time and frequency."""

    width: int
    """Embedding dimension."""
    random = True
    """Whether it may draw random numbers in training, as dropout does."""
    pooling: tuple[str, ...] = ()
    """Layers after the maps, which only embeddings need."""

    @abstractmethod
    def forward_features(self, x: Tensor) -> TowerOutput:
        """Embeddings and maps in one pass.

        Args:
            x: normalised frames `(clips, 3, time, height, width)`, or spectrograms `(clips, maps, time, mels)`.
        """

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings only, `(batch, width)`."""
        return self.forward_features(x).embedding

    def maps(self, x: Tensor) -> Tensor:
        """Feature maps only."""
        return self.forward_features(x).maps

    def early(self, x: Tensor) -> Tensor:
        """Feature maps of the first block, which keep information that the pretext task does not need.

        Args:
            x: as in `forward_features`.

        Raises:
            ValueError: not supported by this tower.
        """
        raise InputError(f"expected a tower with early feature maps, got {type(self).__name__}; use layer=embedding")


def pooling_tensors(network: nn.Module) -> set[str]:
    """Names of the parameters and buffers of a network that only the embeddings of its towers need, not their maps."""
    towers = ((path, each) for path, each in network.named_modules() if isinstance(each, Tower))
    layers = tuple(f"{path}.{layer}.".lstrip(".") for path, tower in towers for layer in tower.pooling)
    return {name for name in network.state_dict() if layers and name.startswith(layers)}


def map_shape(tower: Tower, *size: int) -> torch.Size:
    """Shape of a tower's feature maps without the axis of the clips, without computing them.

    Args:
        tower: any tower.
        size: of its input, such as `(3, time, height, width)`.
    """
    with torch.no_grad():
        return deepcopy(tower).to("meta").maps(torch.zeros(1, *size, device="meta")).shape[1:]
