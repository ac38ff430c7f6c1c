"""A bar that counts what is done, and how fast; on standard error, where that is a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class Counter:
    """How many of how many, how many a second, time left.

    Args:
        title: stands in front; its last word is what is counted.
        total: how many there are.
        shown: False shows nothing.
    """

    def __init__(self, title: str, total: int, shown: bool = True) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, disable=not (shown and console.is_terminal))
        self._row = self._bar.add_task(title, total=total)

    def __enter__(self) -> Counter:
        """Show it."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave its last state on the screen."""
        self._bar.stop()

    def advance(self, count: int) -> None:
        """So many more are done."""
        self._bar.advance(self._row, count)


class _Speed(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")
