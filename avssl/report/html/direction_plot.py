"""Found against true directions, and the histogram of their angles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avssl.report.html.axes import COLOURS, Axes
from avssl.report.html.elements import figure
from avssl.runs.evaluated_clips import EvaluatedClip, EvaluatedClips

DRAWN = 2000
"""Points of a plot at most, evenly spaced."""
BIN = 10
"""Degrees of a bar."""
RANGES = (("azimuth", 180.0), ("elevation", 90.0))


def direction_plots(found: EvaluatedClips) -> str:
    """Figures; empty where clips have no found directions."""
    known = [each for each in found.clips if math.isfinite(each.azimuth + each.predicted_azimuth)]
    if not known:
        return ""
    scatters = [_scatter(known, name, limit) for name, limit in RANGES]
    return f'<div class="figures">{"".join([*scatters, _histogram(angle_errors(known))])}</div>'


def angle_errors(clips: Sequence[EvaluatedClip]) -> NDArray[np.float64]:
    """Degrees between found and true direction of each clip."""
    names = ("azimuth", "elevation", "predicted_azimuth", "predicted_elevation")
    azimuth, elevation, found_azimuth, found_elevation = np.radians(
        [[getattr(each, name) for each in clips] for name in names]
    )
    cosine = np.sin(elevation) * np.sin(found_elevation) + np.cos(elevation) * np.cos(found_elevation) * np.cos(
        azimuth - found_azimuth
    )
    errors: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return errors


def _scatter(clips: Sequence[EvaluatedClip], name: str, limit: float) -> str:
    axes = Axes((-limit, limit), (-limit, limit), 340, 320)
    ideal = axes.line([(-limit, -limit), (limit, limit)], "#888888", "4 3", "no error")
    shown = clips[:: max(1, math.ceil(len(clips) / DRAWN))]
    points = ((getattr(each, name), getattr(each, f"predicted_{name}"), each.key) for each in shown)
    dots = "".join(axes.point(x, y, COLOURS[0], f"{key}: {y:.0f}°, true {x:.0f}°") for x, y, key in points)
    picture = axes.svg(ideal + dots, f"found against true {name}", f"true {name}, °", f"found {name}, °")
    return figure(picture, f"{name}: found against true")


def _histogram(errors: NDArray[np.float64]) -> str:
    counts, edges = np.histogram(errors, np.arange(0, 180 + BIN, BIN))
    axes = Axes((0.0, 180.0), (0.0, 1.05 * float(counts.max())), 340, 320)
    bars = "".join(
        axes.bar(low, high, count, f"{low:g}° to {high:g}°: {count}")
        for low, high, count in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    )
    picture = axes.svg(bars, "histogram of direction errors", "error, °", "clips")
    return figure(picture, f"errors: median {np.median(errors):.1f}°, mean {errors.mean():.1f}°")
