"""Likelihood of the true directions of sound under the tracks of `foa360` with attention over the frame.

The mean of two candidate directions is far from both, so that squared errors of spectra have a saddle where attention
is uniform; the likelihood of a mixture has none.
"""

# B windows, N tracks, P cells, K bands, T frames of a spectrogram

from __future__ import annotations

import math

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from avssl_downstream.spatialize.networks.foa360 import LocalizedTracks
from avssl_downstream.spatialize.networks.track_localization import cell_gains

BLOCK = 4
"""Frames of a spectrogram whose intensity is summed to one direction."""
TINY = 1e-12


class DirectionLoss(nn.Module):
    """Weighted negative log-likelihood of directions, with a weight that falls to 0 in the course of training.

    Args:
        weight: at the first training step.
        steps: training steps after which the weight is 0; it falls linearly.
        concentration: of the von Mises-Fisher distribution about the centre of a cell.
    """

    taken: Tensor

    def __init__(self, weight: float, steps: int, concentration: float) -> None:
        super().__init__()
        self.weight, self.steps, self.concentration = weight, steps, concentration
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))

    def forward(self, tracks: LocalizedTracks, intensity: Tensor, size: tuple[int, int], valid: Tensor) -> Tensor:
        """The loss, times its weight; in training mode each call is a training step.

        Args:
            tracks: with attention.
            intensity: true active intensity in each band along y, z and x, `(B, 3, K, T)`.
            size: rows and columns of the cells.
            valid: windows that count, `(B,)` bool.
        """
        weight = self.weight * (1 - self.taken / self.steps).clamp(min=0)
        if self.training:
            self.taken += 1
        return weight * negative_log_likelihood(tracks, intensity, size, valid, self.concentration)


def negative_log_likelihood(
    tracks: LocalizedTracks, intensity: Tensor, size: tuple[int, int], valid: Tensor, concentration: float
) -> Tensor:
    """-log sum_n mask_n (sum_p attention_np vMF(u; d_p, concentration) + absent_n / 4 pi), relative to 1 / 4 pi.

    u is the direction of the intensity of each band, over blocks of frames, and d_p the centre of cell p; the mean is
    weighted by the length of the intensity. 0 for uniform directions.

    Args:
        tracks: with attention; without masks, all audio is one track.
        intensity: see `DirectionLoss.forward`.
        size: see there.
        valid: see there.
        concentration: see `DirectionLoss`.
    """
    assert tracks.attention is not None
    with torch.autocast(intensity.device.type, enabled=False):
        blocks = intensity[..., : intensity.shape[-1] // BLOCK * BLOCK]
        summed_BCQ = reduce(blocks, "B C K (T t) -> B C (K T)", "sum", t=BLOCK)
        length_BQ = torch.linalg.vector_norm(summed_BCQ, dim=1)
        cells_PC = cell_gains(size).to(intensity)
        cosine_BPQ = cells_PC @ (summed_BCQ / length_BQ[:, None].clamp(min=TINY))
        density_BPQ = relative_density(cosine_BPQ, concentration)
        likelihood_BNQ = _likelihood(tracks.attention.float(), density_BPQ, blocks.shape[-1] // BLOCK)
        if tracks.masks is not None:
            masks = tracks.masks.float()[..., : blocks.shape[-1]]
            likelihood_BNQ = likelihood_BNQ * reduce(masks, "B N K (T t) -> B N (K T)", "mean", t=BLOCK)
        weight = length_BQ * valid[:, None]
        found: Tensor = -(weight * (likelihood_BNQ.sum(1) + TINY).log()).sum() / weight.sum().clamp(min=TINY)
        return found


def _likelihood(attention: Tensor, density_BPQ: Tensor, blocks: int) -> Tensor:
    """Likelihood of the directions of bands and blocks of frames, Q of them, under the attention of each track."""
    if attention.ndim == 3:
        return attention[..., :-1] @ density_BPQ + attention[..., -1:]
    # Each block under the attention of the time step that it lies in.
    step = torch.arange(blocks, device=attention.device) * attention.shape[1] // blocks
    density_BTPK = rearrange(density_BPQ, "B P (K T) -> B T P K", T=blocks)
    attention_BTNP = attention[:, step]
    return rearrange(attention_BTNP[..., :-1] @ density_BTPK + attention_BTNP[..., -1:], "B T N K -> B N (K T)")


def relative_density(cosine: Tensor, concentration: float) -> Tensor:
    """Density of the von Mises-Fisher distribution on the sphere over that of the uniform one.

    Args:
        cosine: of the angle to its mean direction.
        concentration: above 0.
    """
    scale = 2 * concentration / (1 - math.exp(-2 * concentration))
    return scale * (concentration * (cosine - 1)).exp()
