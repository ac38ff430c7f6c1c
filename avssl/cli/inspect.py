"""`avssl inspect`: whether recordings are what they claim."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avssl.cli.examples import example

if TYPE_CHECKING:
    from avssl.inspection.seen_objects import FindObjects

PATH = click.Path(path_type=Path)


@click.command(
    epilog=example("avssl inspect film-360.mp4", "avssl inspect RECORDINGS --json facts.json --html page.html")
)
@click.argument("source", type=PATH)
@click.option("--json", "facts", type=PATH, help="File for all facts as JSON; - prints them instead of the table.")
@click.option("--html", "page", type=PATH, help="File for one page with frames and directions over time.")
@click.option(
    "--detector",
    metavar="MODEL",
    help="Detector of `avssl detect`: objects beside the sound.  [default: objects-*.parquet beside the film]",
)
def inspect(source: Path, facts: Path | None, page: Path | None, detector: str | None) -> None:
    """Check a recording, or all of a folder: channels, direction of sound, projection, time stamps, metadata.

    Exit code 0: nothing would go wrong in training; 1: something would, with advice; 2: no recording.
    """
    from avssl.inspection.inspect_media import inspect_media
    from avssl.inspection.inspection_page import inspection_page
    from avssl.io.atomic import write_text
    from avssl.media.video_writer import require_folder

    for target in (each for each in (facts, page) if each is not None and str(each) != "-"):
        require_folder(target)
    found = inspect_media(source, find_objects=_finder(detector))
    if page is not None:
        write_text(page, inspection_page(found))
    if facts is not None and str(facts) != "-":
        write_text(facts, found.json())
    click.echo(found.json() if str(facts) == "-" else found.text(), nl=str(facts) != "-")
    sys.exit(1 if found.wrong else 0)


def _finder(model: str | None) -> FindObjects:
    """Objects by a detector, else those beside a film."""
    from avssl.cli.inspect_objects import Detecting, stored_objects

    if model is None:
        return stored_objects
    from avssl.detection.backends import load_detector

    return Detecting(load_detector(model))
