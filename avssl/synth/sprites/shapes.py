"""Shapes of each source class in the unit circle, in three colours."""

from __future__ import annotations

import numpy as np

from avssl.synth.sprites.drawing import Brush


def bell(brush: Brush) -> None:
    """A church bell with its clapper."""
    brush.ellipse(0, -0.72, 0.2, 0.2, brush.dark)
    brush.polygon(
        [
            (-0.72, -0.62),
            (-0.5, -0.35),
            (-0.42, 0.2),
            (-0.25, 0.62),
            (0, 0.74),
            (0.25, 0.62),
            (0.42, 0.2),
            (0.5, -0.35),
            (0.72, -0.62),
        ],
        brush.body,
    )
    brush.line([(-0.66, -0.5), (0.66, -0.5)], 0.1, brush.trim)
    brush.ellipse(0, 0.82, 0.14, 0.14, brush.trim)


def drum(brush: Brush) -> None:
    """A drum seen from above its edge, with zigzag ropes."""
    brush.box(-0.78, -0.5, 0.78, 0.35, brush.body)
    brush.ellipse(0, -0.5, 0.78, 0.25, brush.body)
    zigzag = [(-0.78 + 0.26 * k, 0.2 if k % 2 else -0.55) for k in range(7)]
    brush.line(zigzag, 0.07, brush.trim)
    brush.ellipse(0, 0.35, 0.8, 0.3, brush.dark)
    brush.ellipse(0, 0.37, 0.7, 0.24, brush.trim)


def siren(brush: Brush) -> None:
    """A beacon: a dome on a dark foot."""
    brush.box(-0.75, -0.68, 0.75, -0.35, brush.dark)
    brush.box(-0.5, -0.35, 0.5, 0.2, brush.body)
    brush.ellipse(0, 0.2, 0.5, 0.65, brush.body)
    brush.ellipse(-0.16, 0.3, 0.13, 0.34, brush.trim)


def bird(brush: Brush) -> None:
    """A bird in profile."""
    brush.polygon([(-0.55, -0.1), (-0.98, 0.1), (-0.95, -0.25)], brush.body)
    brush.ellipse(-0.1, -0.12, 0.62, 0.42, brush.body)
    brush.ellipse(0.5, 0.32, 0.3, 0.28, brush.body)
    brush.polygon([(0.72, 0.42), (1.0, 0.28), (0.72, 0.18)], brush.trim)
    brush.polygon([(-0.4, 0.1), (0.25, 0.05), (-0.45, 0.8)], brush.trim)
    brush.ellipse(0.56, 0.38, 0.09, 0.09, brush.dark)


def engine(brush: Brush) -> None:
    """A car from the side."""
    brush.polygon([(-0.6, 0.0), (-0.4, 0.45), (0.25, 0.45), (0.55, 0.0)], brush.body)
    brush.box(-0.95, -0.3, 0.95, 0.05, brush.body)
    brush.polygon([(-0.45, 0.05), (-0.33, 0.35), (0.2, 0.35), (0.4, 0.05)], brush.trim)
    for x in (-0.55, 0.55):
        brush.ellipse(x, -0.32, 0.27, 0.27, brush.dark)
        brush.ellipse(x, -0.32, 0.11, 0.11, brush.trim)


def whistle(brush: Brush) -> None:
    """A referee's whistle: a round chamber with a mouthpiece."""
    brush.box(-0.3, 0.1, 0.95, 0.5, brush.body)
    brush.ellipse(-0.3, -0.08, 0.6, 0.58, brush.body)
    brush.ellipse(-0.3, -0.08, 0.24, 0.24, brush.dark)
    brush.box(0.15, 0.3, 0.4, 0.55, brush.trim)


def maraca(brush: Brush) -> None:
    """A round rattle on a stick."""
    brush.line([(0.1, 0.0), (0.35, -0.9)], 0.22, brush.dark)
    brush.ellipse(-0.1, 0.28, 0.68, 0.62, brush.body)
    brush.line([(-0.74, 0.18), (0.54, 0.18)], 0.16, brush.trim)


def metronome(brush: Brush) -> None:
    """A pyramid with a pendulum."""
    brush.polygon([(-0.65, -0.75), (0.65, -0.75), (0.25, 0.8), (-0.25, 0.8)], brush.body)
    brush.polygon([(-0.38, -0.45), (0.38, -0.45), (0.18, 0.65), (-0.18, 0.65)], brush.trim)
    brush.line([(0.0, -0.45), (0.3, 0.85)], 0.1, brush.dark)
    brush.box(0.06, 0.15, 0.3, 0.35, brush.dark)


def guitar(brush: Brush) -> None:
    """A guitar: two bouts, hole, neck."""
    brush.line([(0, 0.1), (0, 0.95)], 0.24, brush.dark)
    brush.ellipse(0, -0.4, 0.72, 0.52, brush.body)
    brush.ellipse(0, 0.18, 0.52, 0.38, brush.body)
    brush.ellipse(0, -0.1, 0.22, 0.22, brush.dark)
    brush.line([(-0.3, -0.6), (0.3, -0.6)], 0.12, brush.trim)


def water(brush: Brush) -> None:
    """A drop."""
    brush.polygon([(-0.62, -0.05), (0, 0.97), (0.62, -0.05)], brush.body)
    brush.ellipse(0, -0.27, 0.68, 0.66, brush.body)
    brush.ellipse(-0.26, -0.27, 0.15, 0.32, brush.trim)


def face(brush: Brush) -> None:
    """A face with an open mouth."""
    brush.ellipse(0, 0.0, 0.72, 0.88, brush.body)
    brush.ellipse(0, 0.62, 0.62, 0.3, brush.dark)
    for x in (-0.28, 0.28):
        brush.ellipse(x, 0.12, 0.14, 0.12, brush.trim)
        brush.ellipse(x, 0.12, 0.06, 0.08, brush.dark)
    brush.ellipse(0, -0.4, 0.26, 0.22, brush.dark)


def alarm(brush: Brush) -> None:
    """An alarm clock: a dial under two bells."""
    for x in (-0.48, 0.48):
        brush.ellipse(x, 0.62, 0.28, 0.26, brush.body)
        brush.line([(x, -0.5), (1.3 * x, -0.85)], 0.16, brush.dark)
    brush.ellipse(0, -0.1, 0.7, 0.7, brush.body)
    brush.ellipse(0, -0.1, 0.5, 0.5, brush.trim)
    brush.line([(0.25, -0.1), (0, -0.1), (0, 0.28)], 0.1, brush.dark)


def fan(brush: Brush) -> None:
    """Four blades around a hub."""
    for quarter in np.arange(4) * 90.0:
        turn = np.radians(quarter)
        x, y = 0.48 * float(np.cos(turn)), 0.48 * float(np.sin(turn))
        brush.ellipse(0, 0, 0.95, 0.95, brush.body, quarter - 24, quarter + 24)
        brush.line([(0.4 * x, 0.4 * y), (1.5 * x, 1.5 * y)], 0.07, brush.trim)
    brush.ellipse(0, 0, 0.25, 0.25, brush.dark)


def horn(brush: Brush) -> None:
    """A trumpet: mouthpiece, coil and flared bell."""
    brush.line([(-0.92, 0.05), (0.3, 0.05)], 0.16, brush.body)
    brush.polygon([(0.2, 0.16), (0.55, 0.22), (0.88, 0.5), (0.88, -0.4), (0.55, -0.12), (0.2, -0.06)], brush.body)
    brush.line([(-0.45, 0.05), (-0.5, -0.4), (0.1, -0.4), (0.05, 0.05)], 0.16, brush.body)
    for x in (-0.35, -0.18, -0.01):
        brush.line([(x, -0.3), (x, 0.35)], 0.1, brush.trim)
