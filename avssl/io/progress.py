"""Progress bars on standard error where that is a terminal, logged lines elsewhere; the one place that draws bars.

`logging.getLogger("avssl").setLevel(logging.WARNING)` silences bars together with messages.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from functools import lru_cache
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
logger = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 30.0
"""Interval between progress lines where the output is a file."""
FIRST_LINE = 2.0
"""Seconds after which the first one comes; work that is done earlier has none."""
RECENT = 20
"""Updates over which the rate is averaged."""
_drawn: list[ProgressBar] = []
"""The bar on the screen; one inside another is not drawn."""


@lru_cache(maxsize=1)
def stderr_console() -> Console:
    """Console of standard error, shared by bars and messages, so that messages appear above a bar."""
    return Console(stderr=True, highlight=False)


def are_bars_shown() -> bool:
    """Whether standard error is a terminal, and the level of the logger `avssl` lets messages of level INFO pass."""
    return stderr_console().is_terminal and logging.getLogger("avssl").level <= logging.INFO


class ProgressBar:
    """Done of total, numbers, and time left; a context manager.

    Args:
        title: in front of the bar.
        total: amount of work; None: unknown.
        unit: plural noun of what is counted.
        numbers: templates such as `loss {loss:.3f}`, filled by `advance`; `{rate}` is the recent amount per second.
            Default: the rate.
        start: done before.
        shown: False shows and logs nothing.
        line_every: seconds between logged lines where no bar is drawn; the first comes after 2 s, the last at the end.
        transient: the bar disappears at the end.
    """

    def __init__(
        self,
        title: str,
        total: float | None,
        unit: str = "",
        *,
        numbers: tuple[str, ...] = (),
        start: float = 0,
        shown: bool = True,
        line_every: float = SECONDS_BETWEEN_LINES,
        transient: bool = False,
    ) -> None:
        self.title, self.total, self.unit, self.done = title, total, unit, start
        self._templates = numbers or (f"{{rate:.3g}} {unit}/s",)
        self._shown, self._every = shown, line_every
        self._bar = _columns(transient) if shown and not _drawn and are_bars_shown() else None
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT + 1)

    def __enter__(self) -> ProgressBar:
        """Show the bar."""
        begin = time.monotonic()
        self._next_line = self._first_line = begin + min(FIRST_LINE, self._every)
        self._recent.append((begin, self.done))
        if self._bar:
            _drawn.append(self)
            self._row = self._bar.add_task(self.title, total=self.total, completed=int(self.done), numbers="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state on the screen."""
        if self._bar:
            with contextlib.suppress(OSError):  # of a terminal that was closed
                self._bar.stop()
            _drawn.remove(self)

    def advance(self, count: float = 1, **numbers: Any) -> None:
        """Add finished work, with the values of the templates' numbers."""
        self.done += count
        now = time.monotonic()
        self._recent.append((now, self.done))
        text = ", ".join(template.format(rate=self._rate(), **numbers) for template in self._templates)
        if self._bar:
            self._bar.update(self._row, total=self.total, completed=self.done, numbers=text)
        elif self._shown and (now >= self._next_line or (self.done == self.total and now >= self._first_line)):
            self._next_line = now + self._every
            logger.info("%s: %s %s, %s%s", self.title, self._count(), self.unit, text, self._left())

    def _rate(self) -> float:
        (begin, before), (now, done) = self._recent[0], self._recent[-1]
        return (done - before) / max(now - begin, 1e-9)

    def _count(self) -> str:
        return f"{self.done:g}" if self.total is None else f"{self.done:g}/{self.total:g}"

    def _left(self) -> str:
        if self.total is None or not (rate := self._rate()):
            return ""
        minutes, seconds = divmod(round((self.total - self.done) / rate), 60)
        return f", {minutes // 60:02}:{minutes % 60:02}:{seconds:02} left"


def track(
    items: Iterable[T],
    title: str,
    unit: str,
    total: float | None = None,
    *,
    shown: bool = True,
    transient: bool = False,
) -> Iterator[T]:
    """The same items, counted by a bar.

    Args:
        items: passed on.
        title: in front of the bar.
        unit: plural noun of the items.
        total: their number, where they have no length.
        shown: False shows nothing.
        transient: the bar disappears at the end.
    """
    total = len(items) if total is None and isinstance(items, Sized) else total
    with ProgressBar(title, total, unit, shown=shown, transient=transient) as bar:
        for item in items:
            yield item
            bar.advance()


def _columns(transient: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[numbers]}", markup=False),
        TimeRemainingColumn(),
        console=stderr_console(),
        transient=transient,
    )
