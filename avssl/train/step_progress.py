"""Progress of training: loss, clips per second, and share of time that waits for data."""

from __future__ import annotations

from collections import deque

from avssl.io.progress import RECENT, ProgressBar

SECONDS_BETWEEN_LINES = 5.0
NUMBERS = ("loss {loss:.3f}", "{speed:.1f} clips/s", "{wait:.0%} waiting for data")


class StepProgress(ProgressBar):
    """Progress bar of training steps, or a line every 5 s where standard error is no terminal.

    Args:
        title: in front of the bar.
        start: steps done before.
        steps: steps in all.
        shown: False shows nothing.
    """

    def __init__(self, title: str, start: int, steps: int, shown: bool = True) -> None:
        super().__init__(
            title or "training",
            steps,
            "steps",
            numbers=NUMBERS,
            start=start,
            shown=shown,
            line_every=SECONDS_BETWEEN_LINES,
        )
        self._steps: deque[tuple[float, float, int]] = deque(maxlen=RECENT)

    def __enter__(self) -> StepProgress:
        """Show the bar."""
        super().__enter__()
        return self

    def step(self, loss: float, seconds: float, data_wait: float, clips: int) -> None:
        """Add one step: smoothed loss, duration in s, seconds of it that waited for data, and clips."""
        self._steps.append((seconds, data_wait, clips))
        seconds, waited, clips = (sum(each) for each in zip(*self._steps, strict=True))
        self.advance(loss=loss, speed=clips / seconds, wait=waited / seconds)
