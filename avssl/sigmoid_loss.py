"""Pairwise sigmoid loss between two modalities, over the batch of all processes, in float32 also under autocast."""

# B clips (of all processes), K crops of a clip, D embedding, Y further negatives

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.errors import InputError
from avssl.losses import alignment_candidates, gather
from avssl.tiled_contrast import TILE, others_softplus

BIAS = -10.0
"""Initial bias of SigLIP, for batches of about 32,000: minus the logarithm of the number of negatives."""


class SigmoidLoss(nn.Module):
    """Sigmoid loss with learnt temperature and bias (SigLIP, Zhai et al., ICCV 2023, algorithm 1).

    Every pair is a binary classification of its own, matching or not, by the logit cos / temperature + bias; the loss
    is summed over the candidates of a row and averaged over rows. No pair depends on the others, as it does through the
    normaliser of InfoNCE.

    Args:
        temperature: initial temperature; SigLIP begins with 0.1.
        bias: initial bias; near minus the logarithm of the number of negatives, all logits fit the share of positives.

    Raises:
        InputError: a temperature that is not positive, or a bias that is not finite.

    Example:
        >>> pairs = torch.eye(4)
        >>> float(SigmoidLoss(0.05, -10.0).pairs(pairs, pairs)["loss"]) < 1e-3  # matches have logit 10, others -10
        True
    """

    def __init__(self, temperature: float = 0.1, bias: float = BIAS) -> None:
        super().__init__()
        if not (0 < temperature < math.inf and math.isfinite(bias)):
            raise InputError(f"expected a positive temperature and a finite bias, got {temperature} and {bias}")
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def pairs(self, a: Tensor, b: Tensor, tile: int = TILE, *, gathered: bool = False) -> dict[str, Tensor]:
        """Loss of all pairs: row i of `a` and row i of `b` match, all others do not.

        Similarities are computed per tile of rows, and recomputed for the gradient, as in `info_nce`.

        Args:
            a: `(B, D)` embeddings, normalised here.
            b: `(B, D)` in the other modality.
            tile: rows of similarities in memory.
            gathered: the rows are of all processes already, by `avssl.losses.gather` or `gather_together`.

        Returns:
            `loss`, and the current `temperature` and `bias`.

        Raises:
            InputError: shapes differ.
        """
        if a.shape != b.shape or a.ndim != 2:
            raise InputError(f"expected two batches of one shape (rows, D), got {tuple(a.shape)} and {tuple(b.shape)}")
        with torch.autocast(a.device.type, enabled=False):
            units = (each.float() if gathered else gather(each.float()) for each in (a, b))
            a, b = (functional.normalize(each, dim=-1) for each in units)
            positive = (a * b).sum(-1)[:, None]
            return self._scalars(positive, positive[..., None], self._others(a[:, None], b[:, None], tile))

    def alignment(
        self,
        predicted: Tensor,
        target: Tensor,
        negatives: str = "easy+hard",
        further: Tensor | None = None,
        *,
        tile: int = TILE,
        gathered: bool = False,
    ) -> dict[str, Tensor]:
        """AVSA's loss in one direction with the candidates of `avssl.losses.alignment_loss`.

        Args:
            predicted: `(B, K, D)` embeddings, normalised here.
            target: `(B, K, D)` in the other modality.
            negatives: `easy+hard`, `easy` or `hard`.
            further: `(B, K, Y, D)` further negatives of each crop; None: none.
            tile: crops whose similarities are in memory.
            gathered: the rows are of all processes already, by `avssl.losses.gather` or `gather_together`.

        Returns:
            `loss`, and the current `temperature` and `bias`.

        Raises:
            InputError: shapes differ, or unknown `negatives`.
        """
        with torch.autocast(predicted.device.type, enabled=False):
            found = alignment_candidates(predicted, target, negatives, further, gathered=gathered)
            others = None if negatives == "hard" else self._others(found.predicted, found.target, tile)
            return self._scalars(found.positive, found.own, others)

    def logits(self, cosines: Tensor) -> Tensor:
        """Logits of cosine similarities: of the probability that a pair matches."""
        return self.log_scale.float().exp() * cosines + self.bias.float()

    def _others(self, query: Tensor, reference: Tensor, tile: int) -> Tensor:
        """Loss `(B, K)` of the same crop of other clips, as negatives."""
        return others_softplus(query, reference, self.log_scale.float().exp(), self.bias.float(), tile)

    def _scalars(self, positive: Tensor, own: Tensor, others: Tensor | None) -> dict[str, Tensor]:
        """Scalars from cosines `(B, K)` of positives and `(B, K, N)` of the own clip, and the loss of other clips.

        The loss of a negative of logit x is log(1 + exp(x)), that of a positive the same minus x.
        """
        temperature = (-self.log_scale.detach().float()).exp()
        as_negatives = functional.softplus(self.logits(own)).sum(-1)
        as_negatives = as_negatives if others is None else as_negatives + others
        loss = (as_negatives - self.logits(positive)).mean()
        return {"loss": loss, "temperature": temperature, "bias": self.bias.detach().float()}
