"""Linear classifier on towers."""

# B windows

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.data.worker_loader import Batch
from avssl.models.encoders import Encoders


class TowerClassifier(nn.Module):
    """Concatenated embeddings of the towers, dropout, linear layer.

    Args:
        encoders: trained in place; unused towers do not change.
        towers: audio, video or both.
        classes: number of classes.
        dropout: probability, on the embedding.
    """

    def __init__(self, encoders: Encoders, towers: tuple[str, ...], classes: int, dropout: float) -> None:
        super().__init__()
        self.towers = nn.ModuleDict({tower: getattr(encoders, tower) for tower in towers})
        self.requires_grad_(True)
        width = sum(getattr(encoders, tower).width for tower in towers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` and `accuracy` of windows; `batch` has an input for each tower, and `label` `(B,)`."""
        embeddings = [tower(batch[name]) for name, tower in self.towers.items()]
        logits = self.head(torch.cat(embeddings, -1)).float()
        correct = (logits.argmax(1) == batch["label"]).float().mean()
        return {"loss": functional.cross_entropy(logits, batch["label"]), "accuracy": correct}
