"""Cross-modal transformer: predict embeddings of the other modality from all crops of a clip (Morgado 2020)."""

# B clips, K crops of a clip, D width

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Single-head self-attention over the crops of a clip; parameters named as in the published checkpoints.

    Args:
        width: embedding dimension.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.dense = nn.Linear(width, width)

    def forward(self, crops: Tensor) -> Tensor:
        """`(B, K, D)` to `(B, K, D)`; scores are divided by the square root of D."""
        query, key, value = self.query(crops), self.key(crops), self.value(crops)
        output: Tensor = self.dense(functional.scaled_dot_product_attention(query, key, value))
        return output


class TransformerLayer(nn.Module):
    """Post-norm transformer layer: attention and feed-forward network with residual connections; final ReLU.

    Args:
        width: embedding dimension.
        expansion: hidden units of the feed-forward network over `width`.
        dropout: dropout probability of both residual branches.
    """

    def __init__(self, width: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width)
        self.attention_norm = nn.LayerNorm(width)
        self.dense = nn.Sequential(
            nn.Linear(width, width * expansion), nn.ReLU(inplace=True), nn.Linear(width * expansion, width)
        )
        self.dense_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, crops: Tensor) -> Tensor:
        """`(B, K, D)` to `(B, K, D)`."""
        crops = self.attention_norm(crops + self.dropout(self.attention(crops)))
        return functional.relu(self.dense_norm(crops + self.dropout(self.dense(crops))))


class CrossModalTransformer(nn.Module):
    """Predict embeddings of one modality at the K crops of a clip from those of the other.

    Without position encoding: equivariant to the order of crops. Two transformers of width 512 and depth 2 have AVSA's
    12,609,536 parameters, under the published names.

    Args:
        width: embedding dimension.
        depth: number of layers.
        expansion: hidden units of the feed-forward networks over `width`.
        dropout: dropout probability of all residual branches.
    """

    def __init__(self, width: int, depth: int = 2, expansion: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        self.transformer = nn.Sequential(*(TransformerLayer(width, expansion, dropout) for _ in range(depth)))

    def forward(self, crops: Tensor) -> Tensor:
        """`(B, K, D)` to `(B, K, D)`."""
        predicted: Tensor = self.transformer(crops)
        return predicted
