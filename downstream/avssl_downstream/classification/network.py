"""Towers under a linear classifier."""

# B windows

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.data.worker_loader import Batch
from avssl.models.encoders import Encoders


class Network(nn.Module):
    """Embeddings of the towers, side by side, to classes.

    Args:
        encoders: trained in place; a tower that is not used stays as it is.
        towers: audio, video or both.
        classes: number of them.
        dropout: share of the embedding dropped.
    """

    def __init__(self, encoders: Encoders, towers: tuple[str, ...], classes: int, dropout: float) -> None:
        super().__init__()
        self.towers = nn.ModuleDict({tower: getattr(encoders, tower) for tower in towers})
        self.requires_grad_(True)
        width = sum(getattr(encoders, tower).width for tower in towers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Loss and accuracy of windows; `batch` holds one for each tower, and `label` `(B,)`."""
        embeddings = [tower(batch[name]) for name, tower in self.towers.items()]
        logits = self.head(torch.cat(embeddings, -1)).float()
        right = (logits.argmax(1) == batch["label"]).float().mean()
        return {"loss": functional.cross_entropy(logits, batch["label"]), "accuracy": right}
