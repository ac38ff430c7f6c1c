"""Gradient caching: a contrastive loss over a large batch whose clips are embedded a few at a time (Gao et al. 2021).

L. Gao, Y. Zhang, J. Han, J. Callan: Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from avssl.errors import InputError
from avssl.task import embeds_in_chunks

Batch = dict[str, Any]
GOLDEN = 0x9E3779B97F4A7C15
"""Distance of the random states of two chunks, far from those of other steps."""


class GradientCache:
    """Loss and gradients of a batch, in the memory of a chunk of it.

    Clips are embedded chunk by chunk without a graph, the loss gives the gradient of all embeddings, and each chunk is
    embedded once more, with a graph, in the same random state, for the gradient of the weights.

    Args:
        task: in training.
        chunk: clips at a time.
        fabric: device, precision and processes.

    Raises:
        InputError: a task without `embed` and `contrast`.
    """

    def __init__(self, task: nn.Module, chunk: int, fabric: Fabric) -> None:
        if not embeds_in_chunks(task):
            wanted = "a task with the methods embed and contrast"
            raise InputError(f"train.chunk={chunk}: expected {wanted}, got {type(task).__name__}; use train.chunk=0")
        self.task: Any = task
        self.chunk, self.fabric = chunk, fabric

    def notice(self) -> str:
        """Message about batch normalisation, whose statistics are those of a chunk; empty without it."""
        if not any(isinstance(each, _BatchNorm) for each in self.task.modules()):
            return ""
        clips = self.chunk * self.fabric.world_size
        return (
            f"train.chunk={self.chunk}: batch normalisation has the statistics of {clips} clips at a time, not of the "
            "batch: training differs from that of the whole batch beyond rounding"
        )

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars of `contrast`; the gradients of the loss are added to those of the weights, as mean of the processes.

        Args:
            batch: of this process; every tensor has one row per clip.

        Raises:
            InputError: tensors of different lengths.
        """
        batch = self.fabric.strategy.precision.convert_input(batch)
        chunks, seed = self._chunks(batch), torch.initial_seed()
        rows = self._embed_all(chunks, seed)
        with self.fabric.autocast():
            out: dict[str, Tensor] = self.task.contrast(rows, batch)
        self.fabric.backward(out["loss"])
        for number, each in enumerate(chunks):
            self._backward(each, rows, number, seed)
        self._average()
        return out

    def _chunks(self, batch: Batch) -> list[Batch]:
        lengths = {name: len(each) for name, each in batch.items() if isinstance(each, Tensor) and each.ndim}
        if len(set(lengths.values())) != 1:
            raise InputError(f"train.chunk={self.chunk}: expected one row per clip in every tensor, got {lengths}")
        [clips] = set(lengths.values())
        parts = [slice(start, start + self.chunk) for start in range(0, clips, self.chunk)]
        return [{name: each[part] if name in lengths else each for name, each in batch.items()} for part in parts]

    def _embed_all(self, chunks: list[Batch], seed: int) -> dict[str, Tensor]:
        """Embeddings of all clips, without their graph; running statistics stay as they are."""
        buffers = [(each, each.clone()) for each in self.task.buffers()]
        with torch.no_grad():
            found = [self._embed(each, number, seed) for number, each in enumerate(chunks)]
            for each, before in buffers:
                each.copy_(before)
        torch.manual_seed(seed)
        return {name: torch.cat([each[name] for each in found]).requires_grad_() for name in found[0]}

    def _embed(self, chunk: Batch, number: int, seed: int) -> dict[str, Tensor]:
        torch.manual_seed((seed + number * GOLDEN) % 2**64)
        with self.fabric.autocast():
            embeddings: dict[str, Tensor] = self.task.embed(chunk)
        return embeddings

    def _backward(self, chunk: Batch, rows: dict[str, Tensor], number: int, seed: int) -> None:
        """Gradients of the weights from those of the embeddings of one chunk."""
        part = slice(number * self.chunk, (number + 1) * self.chunk)
        again = self._embed(chunk, number, seed)
        wanted = [(again[name], each.grad[part]) for name, each in rows.items() if each.grad is not None]
        outputs, gradients = zip(*[pair for pair in wanted if pair[0].requires_grad], strict=True)
        torch.autograd.backward(outputs, gradients)

    def _average(self) -> None:
        """Mean of the gradients over all processes; the hooks of DistributedDataParallel wait for its own forward."""
        if self.fabric.world_size == 1:
            return
        gradients = [each.grad for each in self.task.parameters() if each.grad is not None]
        for work in [dist.all_reduce(each, async_op=True) for each in gradients]:
            work.wait()
        torch._foreach_div_(gradients, self.fabric.world_size)
