"""`avssl annotate`: mark sounding sources in films, in the browser."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avssl.cli.error_handling import UserError
from avssl.cli.examples import example
from avssl.cli.web_extra import BROWSER, require_web

if TYPE_CHECKING:
    from avssl.annotation.annotation_store import AnnotationStore

PATH = click.Path(path_type=Path)
EXAMPLES = (
    "avssl annotate FILMS --annotator eva --label dog --label car",
    "avssl annotate FILMS --annotator eva --import FILMS/sources-yolo11n-0ebbc80d.json",
    "avssl annotate FILMS --annotator eva --import DATA/objects-yolo11n-0ebbc80d.parquet",
    "avssl annotate FILMS --annotator eva --export FILMS/sources.json",
    "avssl annotate FILMS --agreement",
    "avssl synth mono3d DATASET --sources FILMS/sources.json",
)
logger = logging.getLogger(__name__)


@click.command(epilog=example(*EXAMPLES))
@click.argument("folder", type=PATH)
@click.option("--annotator", default="annotator", show_default=True, help="Name of the file of annotations.")
@click.option("--label", "labels", multiple=True, metavar="CLASS", help="Class to choose by its number; repeatable.")
@click.option("--import", "source", type=PATH, metavar="FILE", help="What `avssl detect` wrote, as suggestions.")
@click.option(
    "--export", "target", type=PATH, metavar="FILE", help="Write sources for `avssl synth`; no page is shown."
)
@click.option("--only-done", is_flag=True, help="Export films that are marked as done alone.")
@click.option("--agreement", "compare", is_flag=True, help="Print the agreement of all annotators; no page is shown.")
@click.option("--json", "numbers", type=PATH, metavar="FILE", help="Write the agreement as JSON too.")
@click.option("--port", default=0, help="Port of the page.  [default: the last one, or any that is free]")
@BROWSER
def annotate(
    folder: Path,
    annotator: str,
    labels: tuple[str, ...],
    source: Path | None,
    target: Path | None,
    only_done: bool,
    compare: bool,
    numbers: Path | None,
    port: int,
    browser: bool,
) -> None:
    """Mark segments with one sounding source in the films of FOLDER: class, start, end, boxes on key frames.

    Every edit is on the disk before the page says so: FOLDER/annotations/NAME.json and its journal. Several annotators
    have a file each. The page runs on this machine alone; all of it can be reached by keyboard (? shows the keys).
    """
    if (numbers or only_done) and not (compare if numbers else target):
        raise UserError(f"expected {'--agreement beside --json' if numbers else '--export beside --only-done'}")
    if target is None and not compare:
        _serve(folder, annotator, labels, source, port, browser)
        return
    if source is not None:
        raise UserError("expected --import, or --export and --agreement, got both; import first")
    if target is not None:
        _export(folder, annotator, target, only_done)
    if compare:
        _compare(folder, numbers)


def _serve(
    folder: Path, annotator: str, labels: tuple[str, ...], source: Path | None, port: int, browser: bool
) -> None:
    require_web("annotate")
    from avssl.annotation.annotation_store import AnnotationStore
    from avssl.annotation.film_list import find_films
    from avssl.web.annotate_page import annotate_page
    from avssl.web.page_address import chosen_address
    from avssl.web.server import serve

    films = find_films(folder)
    with AnnotationStore(folder, annotator) as store:
        if source is not None:
            _import(store, source, films)
        address = chosen_address(store.path.with_suffix(".address"), port)
        serve(annotate_page(store, films, labels, address.token), address.port, browser)
    click.echo(f"{store.path}")


def _import(store: AnnotationStore, source: Path, films: list[Path]) -> None:
    from avssl.annotation.film_list import film_of
    from avssl.annotation.source_export import suggestions

    headers = [film_of(store.folder, path) for path in films]
    changes, outside = suggestions(store.folder, source, store.films, {each.name: each.seconds for each in headers})
    for change in changes:
        store.add(change)
    added = sum(len(change.segments) for change in changes)
    logger.info("%s: %d suggestions added, %d sources of films elsewhere left out", source, added, outside)


def _export(folder: Path, annotator: str, target: Path, only_done: bool) -> None:
    from avssl.annotation.annotation_store import read_annotations_of
    from avssl.annotation.source_export import export_sources

    count = export_sources(folder, read_annotations_of(folder, annotator), target, only_done=only_done)
    click.echo(f"{target}: {count} sources")


def _compare(folder: Path, numbers: Path | None) -> None:
    from avssl.annotation.agreement import agreement
    from avssl.annotation.annotation_file import annotators
    from avssl.annotation.annotation_store import read_annotations_of
    from avssl.annotation.film_list import film_of, find_films
    from avssl.io.atomic import write_text

    headers = [film_of(folder, path) for path in find_films(folder)]
    annotated = {name: read_annotations_of(folder, name) for name in annotators(folder)}
    found = agreement(folder, annotated, {each.name: each.seconds for each in headers if each.seconds})
    if numbers is not None:
        write_text(numbers, json.dumps(found.to_json(), indent=1) + "\n")
    click.echo(found.text())
