"""Inspection as one self-contained HTML page: facts, frames, and directions over time."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.errors import OutputError
from avssl.inspection.examine import RecordingFacts
from avssl.inspection.inspect_media import Inspection, rows
from avssl.printable_text import printable

WIDTH, HEIGHT = 720, 220
"""Pixels of a plot."""
SHOWN = 320
"""Columns of a frame on the page."""
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c2430; }
table { border-collapse: collapse; width: 100%; } td { border-top: 1px solid #d8dde5; padding: .3rem .6rem; }
td:first-child { color: #5b6675; white-space: nowrap; vertical-align: top; }
.wrong { color: #a11d1d; } .note { color: #5b6675; } img { border-radius: 3px; margin: .2rem; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: #5b6675; }
"""


def inspection_page(inspection: Inspection) -> str:
    """HTML of all recordings of an inspection; nothing is loaded from elsewhere."""
    parts = "\n".join(map(_section, inspection.facts))
    title = f"avssl inspect: {len(inspection.facts)} recording{'s' * (len(inspection.facts) != 1)}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n{parts}\n</body></html>\n"
    )


def _section(facts: RecordingFacts) -> str:
    table = "".join(f"<tr><td>{escape(name)}</td><td>{_text(value)}</td></tr>" for name, value in rows(facts))
    findings = "".join(
        f'<li class="{"wrong" if each.wrong else "note"}">{_text(each.line())}</li>' for each in facts.findings
    )
    images = "".join(map(_image, facts.frames))
    return (
        f"<h2>{_text(str(facts.path.name))}</h2>\n<ul>{findings or '<li>nothing to remark</li>'}</ul>\n"
        f"<p>{images}</p>\n{_plot(facts)}\n<table>{table}</table>"
    )


def _text(value: str) -> str:
    return escape(printable(value))


def _image(frame: NDArray[np.uint8]) -> str:
    height = max(1, round(frame.shape[0] * SHOWN / frame.shape[1]))
    small = cv2.resize(frame, (SHOWN, height), interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not done:
        raise OutputError("expected a frame to be encoded as JPEG, OpenCV cannot")
    return f'<img alt="frame" width="{SHOWN}" src="data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}">'


def _plot(facts: RecordingFacts) -> str:
    """Azimuth of sound and of motion over time, left at the top."""
    sound = facts.sound
    if sound is None or not sound.path:
        return ""
    seconds = max(sound.seconds, 1e-6)
    directions = [(each.seconds, each.azimuth, 1.2 - each.diffuseness) for each in sound.path]
    seen = [(each.seconds, each.azimuth, each.concentration) for each in facts.motion]
    found = [(each.seconds, each.azimuth, each.score) for each in facts.objects or ()]
    lines = "".join(
        f'<line x1="40" x2="{WIDTH}" y1="{_row(degrees):.1f}" y2="{_row(degrees):.1f}" stroke="#d8dde5"/>'
        f'<text x="0" y="{_row(degrees) + 4:.1f}">{name}</text>'
        for degrees, name in ((180, "behind"), (90, "left"), (0, "front"), (-90, "right"), (-180, "behind"))
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="azimuth over time">{lines}'
        f"{_dots(seen, seconds, '#d08a1d')}{_dots(found, seconds, '#2a8a4a')}{_dots(directions, seconds, '#2161b8')}"
        f'<text x="44" y="{HEIGHT - 2}">0 s</text><text x="{WIDTH - 40}" y="{HEIGHT - 2}">{seconds:.0f} s</text></svg>'
        "<p>Azimuth over time: sound blue, paler where it is diffuse; motion of the frames amber; "
        "detected objects green.</p>"
    )


def _row(degrees: float) -> float:
    return (180 - degrees) / 360 * (HEIGHT - 30) + 8


def _dots(points: Sequence[tuple[float, float, float]], seconds: float, colour: str) -> str:
    return "".join(_dot(*each, seconds, colour) for each in _known(points))


def _known(points: Iterable[tuple[float, float, float]]) -> Iterable[tuple[float, float, float]]:
    return (each for each in points if math.isfinite(each[1]))


def _dot(time: float, azimuth: float, weight: float, seconds: float, colour: str) -> str:
    x = 40 + time / seconds * (WIDTH - 48)
    opacity = min(1.0, max(0.15, weight))
    return f'<circle cx="{x:.1f}" cy="{_row(azimuth):.1f}" r="4" fill="{colour}" fill-opacity="{opacity:.2f}"/>'
