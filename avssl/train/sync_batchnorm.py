"""Batch normalisation with statistics over all processes: torch's on CUDA, which is all that it supports, else ours."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the batches of all processes together.

    In evaluation mode, or with one process, it equals the layer it replaces; the state dict has the same keys.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any input of shape `(batch, channels, ...)`."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `(batch, channels, ...)`; statistics in float32."""
        if not (self.training and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(input)
        count, mean, variance = _moments(input.float())
        if self.track_running_stats:
            self._track(count, mean.detach(), variance.detach())
        scale = torch.rsqrt(variance + self.eps)
        scale = scale if self.weight is None else scale * self.weight
        shift = -mean * scale if self.bias is None else self.bias - mean * scale
        shape = (1, -1) + (1,) * (input.ndim - 2)
        return (input.float() * scale.view(shape) + shift.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _track(self, count: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics as torch does: unbiased variance, cumulative average without a momentum."""
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), momentum)


def convert_sync_batchnorm(network: nn.Module, device: torch.device) -> nn.Module:
    """Replace every BatchNorm1d/2d/3d in a network, in place; returns it, or its replacement if it is one itself.

    Args:
        network: to train in several processes.
        device: of the training; on CUDA the replacement is torch's fused layer, elsewhere `SyncBatchNorm`.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-any-return, no-untyped-call]
    if isinstance(network, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        return _synchronized(network)
    for name, child in network.named_children():
        setattr(network, name, convert_sync_batchnorm(child, device))
    return network


def _synchronized(norm: _BatchNorm) -> SyncBatchNorm:
    """The same layer, sharing parameters and buffers."""
    new = SyncBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    new.weight, new.bias = norm.weight, norm.bias
    new.running_mean, new.running_var = norm.running_mean, norm.running_var
    new.num_batches_tracked = norm.num_batches_tracked
    return new.train(norm.training)


def _moments(input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean and variance over batch and positions of all processes, with gradient.

    One collective: every process writes its own moments into its row, the sum of the tables is all rows. They are then
    merged as Chan et al. (1979) do, which loses no digits where the mean is large.
    """
    variance, mean = torch.var_mean(input, dim=[0, *range(2, input.ndim)], correction=0)
    count = input.new_full((1,), input.numel() / input.shape[1])
    own = torch.cat([mean, variance, count])
    others = torch.zeros_like(own)
    table = torch.stack([own if rank == dist.get_rank() else others for rank in range(dist.get_world_size())])
    rows: Tensor = all_reduce(table)  # type: ignore[no-untyped-call]
    means, variances, counts = torch.split(rows, [len(mean), len(mean), 1], dim=1)
    total = counts.sum()
    mean = (means * counts).sum(0) / total
    return total, mean, ((variances + (means - mean) ** 2) * counts).sum(0) / total
