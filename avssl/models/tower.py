"""What every tower is: pictures or spectra to embeddings, and to the maps that were pooled into them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from avssl.errors import InputError


class TowerOutput(NamedTuple):
    """An embedding and what it was pooled from."""

    embedding: Tensor
    """`(batch, width)`."""
    maps: Tensor
    """`(clips, channels, time, rows, columns)` of pictures, `(sounds, channels, time, bands)` of spectra: rows from the
    top, columns from the left, bands from low to high."""


class Tower(nn.Module, ABC):
    """A network whose embeddings may forget where things are, and whose maps do not."""

    width: int
    """Numbers of one embedding."""

    @abstractmethod
    def forward_features(self, x: Tensor) -> TowerOutput:
        """Embeddings and maps in one pass.

        Args:
            x: normalised pictures `(clips, 3, time, height, width)`, or spectra `(sounds, maps, time, mels)`.
        """

    def forward(self, x: Tensor) -> Tensor:
        """The embeddings alone, `(batch, width)`."""
        return self.forward_features(x).embedding

    def maps(self, x: Tensor) -> Tensor:
        """The maps alone."""
        return self.forward_features(x).maps

    def early(self, x: Tensor) -> Tensor:
        """The maps that leave the first block, where what the task does not ask for is not yet forgotten.

        Args:
            x: as `forward_features` takes it.

        Raises:
            ValueError: the tower has no such maps.
        """
        raise InputError(f"{type(self).__name__} gives no early maps: take its embedding (layer=embedding)")
