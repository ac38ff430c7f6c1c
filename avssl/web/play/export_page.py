"""One self-contained page of a short clip: picture, sound tracks, filters and scripts, in a file to open from disk."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avssl.errors import InputError
from avssl.io.atomic import replacing, scratch_folder
from avssl.media.video_writer import require_writable
from avssl.web.page import STATIC
from avssl.web.play.browser_video import write_segment
from avssl.web.play.film import Film
from avssl.web.play.overlays import SEGMENT
from avssl.web.play.play_page import HTML, Programme
from avssl.web.play.sound_track import BLOCK_SECONDS, pack_block

LONGEST = 60.0
"""Seconds of a clip; a second of a sound field takes half a megabyte."""
ROWS = 960
"""Rows of the picture at most."""
ENTRY = "main.js"
WORKLET = "mixer_worklet.js"
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data: blob:; "
    "media-src blob:"
)
"""Of the exported page: it loads nothing at all."""
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z_]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def export_page(path: Path, programme: Programme, start: float, seconds: float, progress: bool = True) -> None:
    """Write a clip of the first film as one file.

    Args:
        path: the .html to write.
        programme: film, filters, whether it is blind.
        start: of the clip, seconds from the film's beginning.
        seconds: length of the clip; the film's end ends it.
        progress: show a progress bar.

    Raises:
        InputError: not a .html, a clip that is too long or after the end, or a film that cannot be read.
        OSError: the file cannot be written.
    """
    film = programme.films[0]
    check_export(path, film, start, seconds)
    seconds = min(seconds, film.seconds - start)
    data = {
        "description": programme.description(0) | {"seconds": seconds},
        "names": programme.names(0),
        "blocks": _blocks(programme, start, seconds),
        "picture": _picture(path, film, start, seconds, progress),
        "outlines": _outlines(film, start, seconds),
    }
    with replacing(path) as part:
        part.write_text(page_text(data), encoding="utf-8")


def page_text(data: dict[str, Any]) -> str:
    """HTML of the page with its style sheets, scripts and data inside."""
    html = (STATIC / HTML).read_text(encoding="utf-8")
    for sheet in ("base.css", "play/play.css"):
        style = (STATIC / sheet).read_text(encoding="utf-8")
        html = _replaced(html, f'<link rel="stylesheet" href="static/{sheet}">', f"<style>\n{style}</style>")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    html = _replaced(html, '<meta charset="utf-8">', f'<meta charset="utf-8">\n{policy}')
    worklet = (STATIC / "play" / WORKLET).read_text(encoding="utf-8")
    inside = (
        f'<script type="application/json" id="film-data">{_json(data)}</script>\n'
        f'<script type="text/plain" id="mixer-worklet">{worklet}</script>\n'
        f'<script type="module">\n{bundle(ENTRY)}</script>'
    )
    return _replaced(html, '<script type="module" src="static/play/main.js"></script>', inside)


def bundle(entry: str) -> str:
    """A module and all that it imports as one script: names are unique over all modules of the player."""
    order: list[str] = []
    _visit(entry, order)
    texts = ((STATIC / "play" / each).read_text(encoding="utf-8") for each in order)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


def _visit(name: str, order: list[str]) -> None:
    """Append what a module imports, then the module."""
    for imported in _IMPORT.findall((STATIC / "play" / name).read_text(encoding="utf-8")):
        if imported not in order:
            _visit(imported, order)
    order.append(name)


def check_export(path: Path, film: Film, start: float, seconds: float) -> None:
    """Check what `export_page` would write.

    Raises:
        InputError: see `export_page`.
        OSError: the folder cannot be written.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path}: expected the name of a .html file to write")
    if not 0 < seconds <= LONGEST:
        raise InputError(f"--seconds: expected more than 0 and at most {LONGEST:g} s of a film, got {seconds:g}")
    if not 0 <= start < film.seconds:
        raise InputError(
            f"--start: expected a time in the film, 0 to {film.seconds:.1f} s, got {start:g} ({film.path})"
        )
    if path.exists() and any(path.samefile(each) for each in (film.path, *(track.path for track in film.tracks))):
        raise InputError(f"{path}: is a file to be read; write another one")
    require_writable(path)


def _blocks(programme: Programme, start: float, seconds: float) -> list[list[str]]:
    """Blocks of each sound track, as base64."""
    film = programme.films[0]
    begins = [block * BLOCK_SECONDS for block in range(int(seconds / BLOCK_SECONDS) + 1)]
    return [
        [_text(pack_block(film.tracks[track].samples(start + begin, BLOCK_SECONDS))) for begin in begins]
        for track in programme.orders[0]
    ]


def _picture(path: Path, film: Film, start: float, seconds: float, progress: bool) -> str:
    """The clip as an mp4, as base64; empty for sound alone."""
    if film.video is None:
        return ""
    with scratch_folder(path) as folder:
        write_segment(folder / "clip.mp4", film.video, start, seconds, ROWS, progress)
        return _text((folder / "clip.mp4").read_bytes())


def _outlines(film: Film, start: float, seconds: float) -> list[list[dict[str, Any]]]:
    """Outlines of each segment, with times of the clip."""
    moved = [asdict(each) | {"begin": each.begin - start, "end": each.end - start} for each in film.overlays.outlines]
    return [
        [each for each in moved if each["begin"] < (index + 1) * SEGMENT and each["end"] > index * SEGMENT]
        for index in range(int(seconds / SEGMENT) + 1)
    ]


def _replaced(html: str, old: str, new: str) -> str:
    assert html.count(old) == 1, old
    return html.replace(old, new)


def _json(data: dict[str, Any]) -> str:
    """JSON that cannot end its element, whatever a name has in it."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
