"""Translating transformer: what the other modality should be like at each crop, from all crops (Morgado 2020)."""

# B clips, K crops of a clip, D width

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Self-attention of one head over the crops of a clip; its parameters are named as in the published checkpoints.

    Args:
        width: numbers of one embedding.
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
        found: Tensor = self.dense(functional.scaled_dot_product_attention(query, key, value))
        return found


class Layer(nn.Module):
    """Attention and a perceptron, each added to its input and then normalised; what is negative in the end is cut.

    Args:
        width: numbers of one embedding.
        expansion: units of the perceptron's hidden layer over `width`.
        dropout: share of what attention and perceptron add that is dropped in training.
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
    """Embeddings of one modality at the K crops of a clip to predictions of the other's at the same crops.

    No crop knows its place: crops in another order give the same predictions in that order. Two translators of width
    512 and depth 2 have AVSA's 12,609,536 parameters, under the published names.

    Args:
        width: numbers of one embedding.
        depth: layers.
        expansion: units of a perceptron's hidden layer over `width`.
        dropout: share of what each attention and perceptron adds that is dropped in training.
    """

    def __init__(self, width: int, depth: int = 2, expansion: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        self.transformer = nn.Sequential(*(Layer(width, expansion, dropout) for _ in range(depth)))

    def forward(self, crops: Tensor) -> Tensor:
        """`(B, K, D)` to `(B, K, D)`."""
        found: Tensor = self.transformer(crops)
        return found
