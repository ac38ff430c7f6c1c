"""Tasks that compare projections of the outputs of both towers."""

# N pairs, K crops, D projection

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ProjectingTask(Protocol):
    """Task that projects the outputs of both towers to a common space."""

    def project(self, video: Tensor, audio: Tensor, rotation: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Projections `(N, K, D)` that pretraining compared by cosine.

        Args:
            video: tower outputs `(N, K, V)`.
            audio: tower outputs `(N, K, A)`.
            rotation: `(N, K, 3, 3)` rotations of the sound field to the crops; None: unknown.
        """
        ...
