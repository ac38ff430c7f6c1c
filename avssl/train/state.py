"""How far a run has come."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

SMOOTHING = 0.98


@dataclass
class TrainState:
    """How far a run has come; saved beside the weights."""

    step: int = 0
    """Steps done."""
    loss: float = math.nan
    """Smoothed over about 50 steps."""
    seconds: float = 0.0
    """Spent in steps, waiting included."""
    data_wait: float = 0.0
    """Spent waiting for data."""
    clips: int = 0
    """Seen, over all processes."""
    scalars: dict[str, float] = field(default_factory=dict)
    """Means over the last logged interval."""
    curve: list[tuple[int, float]] = field(default_factory=list)
    """Step and mean loss of every logged interval."""

    def add(self, loss: float, seconds: float, data_wait: float, clips: int) -> None:
        """Count one step."""
        self.step += 1
        self.loss = loss if math.isnan(self.loss) else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
        self.seconds, self.data_wait, self.clips = (
            self.seconds + seconds,
            self.data_wait + data_wait,
            self.clips + clips,
        )

    def metrics(self) -> dict[str, float]:
        """What a finished run is described by."""
        seconds = max(self.seconds, 1e-9)
        speed = {"clips_per_second": self.clips / seconds, "wait_share": self.data_wait / seconds}
        return {**self.scalars, "loss": self.loss, "steps": self.step, "train_seconds": self.seconds, **speed}
