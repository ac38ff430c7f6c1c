"""`avssl play`: films with sound fields that turn with the view, in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avssl.cli.error_handling import UserError
from avssl.cli.examples import example
from avssl.cli.web_extra import BROWSER, require_web

if TYPE_CHECKING:
    from avssl.web.play.film import Film

PATH = click.Path(path_type=Path)
EXAMPLES = (
    "avssl play concert-360.mp4",
    "avssl play concert-360.mp4 --track ours=ours.wav --track mono=mono.wav --blind",
    "avssl play DATA --clip concert --objects yolo11n --run runs/avsa-foa-iv",
    "avssl play concert-360.mp4 --export concert.html --start 60 --seconds 20",
)


@click.command(epilog=example(*EXAMPLES))
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@click.option(
    "--track",
    "tracks",
    multiple=True,
    metavar="NAME=FILE",
    help="A further sound track of the film, such as one that a generator made, of the same start; may be repeated.",
)
@click.option("--blind", is_flag=True, help="Shuffle the sound tracks and hide their names until they are revealed.")
@click.option("--hrirs", type=PATH, help="SOFA file or folder with the HRIRs of a head.  [default: a spherical head]")
@click.option(
    "--projection",
    default="auto",
    type=click.Choice(["auto", "equirect", "flat"]),
    show_default=True,
    help="Projection of the frames: equirectangular or flat; auto: from header and shape.",
)
@click.option(
    "--channel-layout",
    "layout",
    default="auto",
    show_default=True,
    help="Channel layout of the sound: ambix, fuma, acn-n3d, wxy, youtube-327, stereo, binaural, 5.1, 7.1…",
)
@click.option("--clip", metavar="KEY", help="Clip of a manifest, where FILE is its folder.  [default: the first]")
@click.option("--objects", metavar="MODEL", help="Show the objects that `avssl detect --model MODEL` found, or a file.")
@click.option("--run", type=PATH, help="Run folder of avssl pretrain: show the crops of its last step of the clip.")
@click.option("--export", type=PATH, metavar="PAGE.html", help="Write a self-contained page of a clip, and no server.")
@click.option("--start", default=0.0, show_default=True, help="Start of the exported clip, seconds.")
@click.option("--seconds", default=20.0, show_default=True, help="Length of the exported clip, seconds; 60 at most.")
@click.option("--port", default=0, help="Port of the server on 127.0.0.1.  [default: any that is free]")
@BROWSER
def play(files: tuple[Path, ...], **options: Any) -> None:
    """Play films in the browser: look around in 360-degree video while the sound field turns with the view.

    FILE is a 360-degree or flat film, sound alone, or the folder of a manifest. Sound fields are decoded to the ears by
    MagLS filters of a head. Ctrl-C ends the server, which answers this machine alone.
    """
    require_web("play")
    from tempfile import TemporaryDirectory

    from avssl.web.play.export_page import check_export, export_page
    from avssl.web.play.head_filters import head_filters
    from avssl.web.play.play_page import Programme, play_page
    from avssl.web.server import listen, serve_on

    exported, port = options["export"], options["port"]
    _check(files, options)
    with TemporaryDirectory(prefix="avssl-play-") as folder:
        if exported is not None:
            films = [_film(files[0], Path(folder), options)]
            check_export(exported, films[0], options["start"], options["seconds"])
            programme = Programme(films, head_filters(options["hrirs"]), options["blind"])
            export_page(exported, programme, options["start"], options["seconds"])
            click.echo(exported)
            return
        with listen(port) as bound:  # a port in use is an error before any work
            films = [_film(file, Path(folder) / str(index), options) for index, file in enumerate(files)]
            programme = Programme(films, head_filters(options["hrirs"]), options["blind"])
            serve_on(bound, play_page(programme), options["browser"])


def _check(files: tuple[Path, ...], options: dict[str, Any]) -> None:
    single = [f"--{name}" for name in ("clip", "objects", "run", "export") if options[name] is not None]
    single += ["--track"] if options["tracks"] else []
    if len(files) > 1 and single:
        raise UserError(f"expected one FILE beside {' and '.join(single)}, got {len(files)}; play them one by one")


def _film(path: Path, folder: Path, options: dict[str, Any]) -> Film:
    """The film of a file, or of a clip of a manifest."""
    from avssl.web.play.film import open_film
    from avssl.web.play.manifest_film import open_clip

    folder.mkdir(parents=True, exist_ok=True)
    common = {key: options[key] for key in ("projection", "layout")}
    common["tracks"] = _tracks(options["tracks"])
    if path.is_dir():
        return open_clip(path, folder, options["clip"], options["objects"], options["run"], **common)
    if options["clip"] is not None or options["run"] is not None:
        raise UserError(f"{path}: expected the folder of a manifest beside --clip or --run, this is no folder")
    if options["objects"] is not None:
        raise UserError(f"{path}: expected the folder of a manifest beside --objects, this is no folder")
    return open_film(path, folder, **common)


def _tracks(pairs: tuple[str, ...]) -> dict[str, Path]:
    """Name -> file of `NAME=FILE`."""
    found: dict[str, Path] = {}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not (name and equals and file) or name in found:
            raise UserError(f"--track: expected NAME=FILE, each name once, got {pair!r}")
        found[name] = Path(file)
    return found
