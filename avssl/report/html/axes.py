"""Axes of figures in SVG: scales, ticks, points, lines, legend."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from avssl.report.html.elements import text

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a6d3b", "#7a7a7a")
"""Distinct for colour-blind readers on light and on dark ground (Okabe and Ito 2008)."""
DASHES = ("", "6 3", "2 3", "8 3 2 3")
MARGIN = (52.0, 10.0, 8.0, 34.0)
"""Pixels left, right, above and below the plot."""
TICKS = 5


@dataclass(frozen=True)
class Axes:
    """A plot of fixed size.

    Args:
        x: least and greatest value.
        y: least and greatest value.
        width: pixels.
        height: pixels.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = 520.0
    height: float = 260.0

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        left, right, above, below = MARGIN
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return left + across * (self.width - left - right), self.height - below - up * (self.height - above - below)

    def svg(self, inside: str, title: str, x_label: str, y_label: str, frame: bool = True) -> str:
        """The plot around its content, with axes and labels.

        Args:
            inside: SVG elements.
            title: for readers of the page without sight of it.
            x_label: of the horizontal axis.
            y_label: of the vertical axis.
            frame: draw ticks and numbers.
        """
        labels = (
            f'<text x="{self.width / 2}" y="{self.height - 4}" text-anchor="middle">{text(x_label)}</text>'
            f'<text x="12" y="{self.height / 2}" text-anchor="middle" '
            f'transform="rotate(-90 12 {self.height / 2})">{text(y_label)}</text>'
        )
        return (
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{text(title)}">'
            f"{self._grid() if frame else ''}{labels}{inside}</svg>"
        )

    def point(self, x: float, y: float, colour: str, label: str, radius: float = 3.5) -> str:
        """A point whose label shows under the mouse."""
        across, down = self.at(x, y)
        return (
            f'<circle class="point" cx="{across:.1f}" cy="{down:.1f}" r="{radius:g}" fill="{colour}">'
            f"<title>{text(label)}</title></circle>"
        )

    def line(self, points: Iterable[tuple[float, float]], colour: str, dash: str, label: str) -> str:
        """A line through points."""
        path = " ".join("{:.1f},{:.1f}".format(*self.at(*each)) for each in points)
        return (
            f'<polyline class="curve" points="{path}" stroke="{colour}" stroke-dasharray="{dash}">'
            f"<title>{text(label)}</title></polyline>"
        )

    def bar(self, low: float, high: float, value: float, label: str) -> str:
        """A bar of a histogram."""
        (left, top), (right, bottom) = self.at(low, value), self.at(high, self.y[0])
        return (
            f'<rect class="bar" x="{left + 0.5:.1f}" y="{top:.1f}" width="{max(0.5, right - left - 1):.1f}" '
            f'height="{max(0.0, bottom - top):.1f}" fill="{COLOURS[0]}"><title>{text(label)}</title></rect>'
        )

    def _grid(self) -> str:
        return "".join([*map(self._vertical, ticks(*self.x)), *map(self._horizontal, ticks(*self.y))])

    def _vertical(self, value: float) -> str:
        (x, top), (_, bottom) = self.at(value, self.y[1]), self.at(value, self.y[0])
        return (
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
            f'<text x="{x:.1f}" y="{bottom + 13:.1f}" text-anchor="middle">{number(value)}</text>'
        )

    def _horizontal(self, value: float) -> str:
        (left, y), (right, _) = self.at(self.x[0], value), self.at(self.x[1], value)
        return (
            f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{left - 4:.1f}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>'
        )


def ticks(low: float, high: float) -> list[float]:
    """Round numbers within an interval, about `TICKS`.

    Example:
        >>> ticks(0.0, 10.0)
        [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= 0.7 * rough)
    first = math.ceil(low / step - 1e-9)
    return [round(at * step, 12) for at in range(first, math.floor(high / step + 1e-9) + 1)]


def span(values: Iterable[float]) -> tuple[float, float]:
    """Interval of finite values, a little wider; of no width around a single one never."""
    known = [each for each in values if math.isfinite(each)] or [0.0]
    low, high = min(known), max(known)
    room = 0.04 * (high - low) or max(0.5, 0.05 * abs(high))
    return low - room, high + room


def number(value: float) -> str:
    """A number of an axis, short."""
    return f"{value:.4g}"


def legend(entries: Sequence[tuple[str, str, str]]) -> str:
    """Names beside their colours and dashes.

    Args:
        entries: name, colour, dash.
    """
    items = "".join(
        f'<li><svg class="key" viewBox="0 0 24 8" aria-hidden="true"><line x1="0" x2="24" y1="4" y2="4" '
        f'stroke="{colour}" stroke-width="3" stroke-dasharray="{dash}"/></svg> {text(name)}</li>'
        for name, colour, dash in entries
    )
    return f'<ul class="legend">{items}</ul>'
