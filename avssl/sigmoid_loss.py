"""Pairwise sigmoid loss between two modalities, over the batch of all processes, in float32 also under autocast."""

# B clips (of all processes), K crops of a clip, D embedding, Y further negatives

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from avssl.errors import InputError
from avssl.losses import TILE, alignment_scores, gather

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

    def pairs(self, a: Tensor, b: Tensor, tile: int = TILE) -> dict[str, Tensor]:
        """Loss of all pairs: row i of `a` and row i of `b` match, all others do not.

        Similarities are computed per tile of rows, and recomputed for the gradient, as in `info_nce`.

        Args:
            a: `(B, D)` embeddings, normalised here.
            b: `(B, D)` in the other modality.
            tile: rows of similarities in memory.

        Returns:
            `loss`, and the current `temperature` and `bias`.

        Raises:
            InputError: shapes differ.
        """
        if a.shape != b.shape or a.ndim != 2:
            raise InputError(f"expected two batches of one shape (rows, D), got {tuple(a.shape)} and {tuple(b.shape)}")
        with torch.autocast(a.device.type, enabled=False):
            a, b = (functional.normalize(gather(each.float()), dim=-1) for each in (a, b))
            sums = [self._sum(part, b, recompute=len(a) > tile) for part in torch.split(a, tile)]
            return self._scalars(torch.stack(sums).sum() / len(a), (a * b).sum(-1))

    def alignment(
        self, predicted: Tensor, target: Tensor, negatives: str = "easy+hard", further: Tensor | None = None
    ) -> dict[str, Tensor]:
        """AVSA's loss in one direction with the candidates of `avssl.losses.alignment_loss`.

        Args:
            predicted: `(B, K, D)` embeddings, normalised here.
            target: `(B, K, D)` in the other modality.
            negatives: `easy+hard`, `easy` or `hard`.
            further: `(B, K, Y, D)` further negatives of each crop; None: none.

        Returns:
            `loss`, and the current `temperature` and `bias`.

        Raises:
            InputError: shapes differ, or unknown `negatives`.
        """
        with torch.autocast(predicted.device.type, enabled=False):
            positive, candidates = alignment_scores(predicted, target, negatives, further)
            missing = candidates.isneginf()  # masked after the scale, whose gradient would be 0 times infinity
            logits = self.logits(candidates.masked_fill(missing, 0)).masked_fill(missing, -math.inf)
            return self._scalars(functional.softplus(logits).sum(-1).mean(), positive)

    def logits(self, cosines: Tensor) -> Tensor:
        """Logits of cosine similarities: of the probability that a pair matches."""
        return self.log_scale.float().exp() * cosines + self.bias.float()

    def _sum(self, a: Tensor, b: Tensor, recompute: bool = False) -> Tensor:
        """Loss of all pairs of rows as negatives; recomputed for the gradient if asked for."""
        if recompute:
            return cast(Tensor, checkpoint(self._sum, a, b, use_reentrant=False))
        return functional.softplus(self.logits(a @ b.T)).sum()

    def _scalars(self, as_negatives: Tensor, positive: Tensor) -> dict[str, Tensor]:
        """Scalars from the mean loss of all candidates as negatives, the positive among them, and its cosines.

        The loss of a negative of logit x is log(1 + exp(x)), that of a positive the same minus x.
        """
        temperature = (-self.log_scale.detach().float()).exp()
        loss = as_negatives - self.logits(positive).mean()
        return {"loss": loss, "temperature": temperature, "bias": self.bias.detach().float()}
