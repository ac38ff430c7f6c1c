"""Progress on standard error: a bar in a terminal; of training, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections import deque

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

SECONDS_BETWEEN_LINES = 5.0
STEPS_AVERAGED = 20


class ProgressCounter:
    """Progress bar of a count: done of total, items a second, time left; shown in a terminal only.

    Args:
        title: in front of the bar; its last word names the items.
        total: number of items.
        shown: False shows nothing.
    """

    def __init__(self, title: str, total: int, shown: bool = True) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, disable=not (shown and console.is_terminal))
        self._row = self._bar.add_task(title, total=total)

    def __enter__(self) -> ProgressCounter:
        """Show it."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave its last state on the screen."""
        self._bar.stop()

    def advance(self, count: int) -> None:
        """Count more items as done."""
        self._bar.advance(self._row, count)


class _Speed(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


class ProgressBar:
    """Progress of a training loop: step, loss, clips a second, share of data-wait time, time left.

    Args:
        title: stands in front.
        start: steps done before.
        steps: steps in all.
        shown: False prints nothing.
    """

    def __init__(self, title: str, start: int, steps: int, shown: bool = True) -> None:
        self.console = Console(stderr=True, quiet=not shown, highlight=False)
        self.title, self.steps = title or "training", steps
        self._recent: deque[tuple[float, float, int]] = deque(maxlen=STEPS_AVERAGED)
        self._last_line = time.monotonic()
        self._bar = self._columns() if shown and self.console.is_terminal else None
        if self._bar:
            self._row = self._bar.add_task(
                self.title, total=steps, completed=start, loss=float("nan"), speed=0.0, wait=0.0
            )

    def __enter__(self) -> ProgressBar:
        """Show it."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave its last state on the screen."""
        if self._bar:
            self._bar.stop()

    def update(self, step: int, loss: float, seconds: float, data_wait: float, clips: int) -> None:
        """Add a step: its number from 1, loss, seconds, those of them that waited for data, and clips."""
        self._recent.append((seconds, data_wait, clips))
        total = sum(each[0] for each in self._recent)
        speed = sum(each[2] for each in self._recent) / total
        wait = sum(each[1] for each in self._recent) / total
        if self._bar:
            self._bar.update(self._row, completed=step, loss=loss, speed=speed, wait=wait)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES or step == self.steps:
            minutes, seconds_left = divmod(round((self.steps - step) * total / len(self._recent)), 60)
            left = f"{minutes // 60:02}:{minutes % 60:02}:{seconds_left:02}"
            self.say(
                f"{self.title}: step {step}/{self.steps}, loss {loss:.3f}, {speed:.1f} clips/s, "
                f"{wait:.0%} waiting for data, {left} left"
            )

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._last_line = time.monotonic()
        (self._bar.console if self._bar else self.console).print(line, markup=False, soft_wrap=True)

    def _columns(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TextColumn("{task.fields[speed]:.1f} clips/s"),
            TextColumn("{task.fields[wait]:.0%} waiting for data"),
            TimeRemainingColumn(),
            console=self.console,
        )
