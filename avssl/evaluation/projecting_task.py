"""Tasks that compare projections of the outputs of both towers."""

# N pairs, K crops, D projection

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ProjectingTask(Protocol):
    """Task that projects the outputs of both towers to a common space."""

    def project(self, video: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Projections `(N, K, D)` that pretraining compared by cosine, of tower outputs `(N, K, width)`."""
        ...
