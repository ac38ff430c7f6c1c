"""Scores that stand beside those of a task: chance, and ideal observers from ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from avssl.evaluation.ideal_observer import OBSERVERS
from avssl.evaluation.localization_scores import ANY_OBJECT, CHANCE, IDEAL
from avssl.evaluation.scene_truth import SceneObjects

LABELS = {CHANCE: "chance", ANY_OBJECT: "any object", IDEAL: "ideal observer", **OBSERVERS}
"""Ending of a metric that stands beside another -> its label."""


@runtime_checkable
class ReferenceTask(Protocol):
    """Task that states chance, and ideal observers where there is ground truth, for scalars of its `forward`."""

    def reference_scores(self, batch: dict[str, Tensor], scenes: Sequence[SceneObjects] | None) -> dict[str, float]:
        """Scores that stand beside those of a batch of held-out clips.

        Args:
            batch: views of the clips, on the CPU.
            scenes: ground truth of each clip in its own axes, in the middle of its frames; None: there is none.

        Returns:
            Scores by name: that of a scalar of `forward` with one of the endings of `LABELS`, such as `NAME_chance`,
            and with ground truth `NAME_ideal_kinds`.
        """
        ...


def measured(name: str) -> str:
    """Metric that a reference such as `avc_acc_ideal_kinds` stands beside; another metric itself."""
    ending = next((each for each in LABELS if name.endswith(each)), "")
    return name.removesuffix(ending)
