"""Cross-modal transformer: predict embeddings of the other modality from all crops of a clip (Morgado 2020)."""

# B clips, K crops of a clip, D width, H spherical harmonics of a direction

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.errors import InputError
from avssl.spatial.spherical_harmonics import channel_count, spherical_harmonics

NORMS = ("post", "pre")


class TransformerForm(NamedTuple):
    """Form of a cross-modal transformer, as its parameters show it."""

    depth: int
    """Number of layers; 0: no transformer."""
    norm: str
    """post or pre."""
    relative_directions: int
    """Order of the spherical harmonics; 0: none."""


class Attention(nn.Module):
    """Single-head self-attention over the crops of a clip; parameters named as in the published checkpoints.

    With directions, linear maps of the spherical harmonics of a crop's direction, as seen from the querying crop, add
    to the score and scale and shift the value. A gain linear in the harmonics is that of ambisonic encoding: the sum
    over crops keeps which content lies in which direction.

    Args:
        width: embedding dimension.
        relative_directions: order of the spherical harmonics of the directions between crops; 0: none.
    """

    def __init__(self, width: int, relative_directions: int = 0) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.dense = nn.Linear(width, width)
        if relative_directions:
            harmonics = channel_count(relative_directions) - 1
            self.direction_bias = nn.Linear(harmonics, 1, bias=False)
            self.direction_gain = nn.Linear(harmonics, width, bias=False)
            self.direction_shift = nn.Linear(harmonics, width, bias=False)

    def forward(self, crops: Tensor, harmonics: Tensor | None = None) -> Tensor:
        """`(B, K, D)` to `(B, K, D)`; scores are divided by the square root of D.

        Args:
            crops: embeddings.
            harmonics: `(B, K, K, H)` of the direction of crop j from crop i; None: no directions.
        """
        query, key, value = self.query(crops), self.key(crops), self.value(crops)
        if harmonics is None:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        else:
            scores = query @ key.mT / math.sqrt(query.shape[-1]) + self.direction_bias(harmonics).squeeze(-1)
            values = value[:, None] * (1 + self.direction_gain(harmonics)) + self.direction_shift(harmonics)
            mixed = (scores.softmax(-1)[..., None] * values).sum(2)
        output: Tensor = self.dense(mixed)
        return output


class TransformerLayer(nn.Module):
    """Post-norm transformer layer: attention and feed-forward network with residual connections; final ReLU.

    Args:
        width: embedding dimension.
        expansion: hidden units of the feed-forward network over `width`.
        dropout: dropout probability of both residual branches.
        relative_directions: order of the spherical harmonics of the directions between crops; 0: none.
    """

    def __init__(self, width: int, expansion: int, dropout: float, relative_directions: int = 0) -> None:
        super().__init__()
        self.attention = Attention(width, relative_directions)
        self.attention_norm = nn.LayerNorm(width)
        self.dense = _feed_forward(width, expansion)
        self.dense_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, crops: Tensor, harmonics: Tensor | None = None) -> Tensor:
        """`(B, K, D)` to `(B, K, D)`."""
        crops = self.attention_norm(crops + self.dropout(self.attention(crops, harmonics)))
        return functional.relu(self.dense_norm(crops + self.dropout(self.dense(crops))))


class PreNormLayer(nn.Module):
    """Pre-norm transformer layer whose residual branches end in weights of zero: at initialisation the identity.

    As in ReZero and Fixup (Bachlechner 2021, Zhang 2019), it departs from the identity at its own rate, without the
    warm-up that post-norm needs (Xiong 2020). Nothing follows the last sum, neither normalisation nor ReLU, so that
    predictions keep all directions of the space.

    Args:
        width: embedding dimension.
        expansion: hidden units of the feed-forward network over `width`.
        dropout: dropout probability of both residual branches.
        relative_directions: order of the spherical harmonics of the directions between crops; 0: none.
    """

    def __init__(self, width: int, expansion: int, dropout: float, relative_directions: int = 0) -> None:
        super().__init__()
        self.attention_input_norm = nn.LayerNorm(width)
        self.attention = Attention(width, relative_directions)
        self.dense_input_norm = nn.LayerNorm(width)
        self.dense = _feed_forward(width, expansion)
        self.dropout = nn.Dropout(dropout)
        for last in (self.attention.dense, self.dense[-1]):
            for each in last.parameters():
                nn.init.zeros_(each)

    def forward(self, crops: Tensor, harmonics: Tensor | None = None) -> Tensor:
        """`(B, K, D)` to `(B, K, D)`."""
        crops = crops + self.dropout(self.attention(self.attention_input_norm(crops), harmonics))
        changed: Tensor = crops + self.dropout(self.dense(self.dense_input_norm(crops)))
        return changed


class CrossModalTransformer(nn.Module):
    """Predict embeddings of one modality at the K crops of a clip from those of the other.

    Equivariant to the order of crops. Without relative directions, crops have no position. Two transformers of width
    512 and depth 2, post-norm without directions, have AVSA's 12,609,536 parameters, under the published names.

    Args:
        width: embedding dimension.
        depth: number of layers.
        expansion: hidden units of the feed-forward networks over `width`.
        dropout: dropout probability of all residual branches.
        norm: post, as published; or pre, at initialisation the identity.
        relative_directions: order of the spherical harmonics of the directions between crops; 0: none, as published.

    Raises:
        InputError: unknown `norm`.

    Example:
        >>> crops = torch.randn(2, 4, 16)
        >>> torch.equal(CrossModalTransformer(16, norm="pre")(crops), crops)  # before training
        True
    """

    def __init__(
        self,
        width: int,
        depth: int = 2,
        expansion: int = 4,
        dropout: float = 0.1,
        norm: str = "post",
        relative_directions: int = 0,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise InputError(f"expected norm {' or '.join(NORMS)}, got {norm!r}")
        self.relative_directions = relative_directions
        layer = TransformerLayer if norm == "post" else PreNormLayer
        self.transformer = nn.ModuleList(layer(width, expansion, dropout, relative_directions) for _ in range(depth))

    def forward(self, crops: Tensor, rotation: Tensor | None = None) -> Tensor:
        """`(B, K, D)` to `(B, K, D)`.

        Args:
            crops: embeddings.
            rotation: `(B, K, 3, 3)` rotations of the sound field that bring each crop to the front; used with relative
                directions only, not changed by a common rotation of all crops.

        Raises:
            InputError: relative directions without rotations.
        """
        harmonics = self._harmonics(rotation) if self.relative_directions else None
        for layer in self.transformer:
            crops = layer(crops, harmonics)
        return crops

    def _harmonics(self, rotation: Tensor | None) -> Tensor:
        """Harmonics `(B, K, K, H)` of the directions between crops, from degree 1 on."""
        if rotation is None:
            raise InputError(f"expected rotations of the crops with relative_directions={self.relative_directions}")
        return spherical_harmonics(directions_between(rotation), self.relative_directions)[..., 1:]


def directions_between(rotation: Tensor) -> Tensor:
    """Direction of each crop's centre in the frame of every other crop of a clip, mirrors included.

    Args:
        rotation: `(..., K, 3, 3)` matrices that bring each crop to the front, mirrored where the crop is.

    Returns:
        float32 `(..., K, K, 3)` unit vectors: entry (i, j) is where crop j lies, seen from crop i; (1, 0, 0) for i = j.

    Example:
        >>> left = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # brings the left to the front
        >>> directions_between(torch.stack([torch.eye(3), left]))[0, 1]  # seen from the first crop: to its left
        tensor([0., 1., 0.])
    """
    with torch.autocast(rotation.device.type, enabled=False):
        centres = rotation[..., 0, :].float()
        return (rotation.float()[..., :, None, :, :] @ centres[..., None, :, :, None]).squeeze(-1)


def form_of(state: Mapping[str, Any]) -> TransformerForm:
    """Form of the transformer that has these parameters.

    Args:
        state: parameters by name, as in the state dict of a `CrossModalTransformer`.
    """
    depth = len({name.split(".")[1] for name in state if name.startswith("transformer.")})
    norm = "pre" if any(".attention_input_norm." in name for name in state) else "post"
    counts = [each.numel() for name, each in state.items() if name.endswith(".direction_bias.weight")]
    return TransformerForm(depth, norm, math.isqrt(counts[0] + 1) - 1 if counts else 0)


def _feed_forward(width: int, expansion: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, width * expansion), nn.ReLU(inplace=True), nn.Linear(width * expansion, width)
    )
