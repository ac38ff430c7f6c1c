"""`avssl study`: listening studies of real or fake, and of preference: make, serve, export, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avssl.cli.error_handling import Commands, UserError
from avssl.cli.examples import example
from avssl.cli.web_extra import BROWSER, require_web

if TYPE_CHECKING:
    from avssl.study.study_spec import StudySpec

PATH = click.Path(path_type=Path)
FAILURES = click.option(
    "--allowed-failures", default=0, show_default=True, type=click.IntRange(min=0),
    help="Attention checks that a participant may fail without being excluded.",
)  # fmt: skip


@click.group(
    cls=Commands,
    epilog=example(
        "avssl study make STUDY --design design.yaml",
        "avssl study serve STUDY",
        "avssl study report STUDY --out report",
    ),
)
def study() -> None:
    """Ask people: is the sound where its source is? Real or fake, or which of two, in browser and headset."""


@study.command(
    epilog=example(
        "avssl study make STUDY --design design.yaml",
        "avssl study make STUDY --film street=street-360.mp4 --track street:ours=ours.wav --track street:mono=mono.wav",
    )
)
@click.argument("out", type=PATH)
@click.option("--design", type=PATH, help="YAML file with films, conditions and texts, instead of the other options.")
@click.option("--film", "films", multiple=True, metavar="NAME=FILE", help="A film; its own sound is `recorded`.")
@click.option("--track", "tracks", multiple=True, metavar="NAME:CONDITION=FILE", help="A sound track of a film.")
@click.option("--question", type=click.Choice(["real-or-fake", "preference"]), help="[default: real-or-fake]")
@click.option("--title", help="[default: Listening study]")
@click.option("--text", help="Question on the page.  [default: is the sound where its source is?]")
@click.option("--consent-file", help="Text that participants consent to.  [default: one that names what is stored]")
@click.option("--all-conditions/--one-condition", default=None, help="Each film in all conditions, or in one.")
@click.option("--attention-checks", type=int, help="Trials with a right answer.  [default: 2]")
@click.option("--go-back/--no-back", default=None, help="Whether answers can be changed.  [default: yes]")
@click.option("--channel-layout", help="Of all tracks, as in `avssl prepare`.  [default: auto]")
@click.option("--seed", type=int, help="Of the orders.  [default: 0]")
def make(out: Path, design: Path | None, films: tuple[str, ...], tracks: tuple[str, ...], **options: Any) -> None:
    """Write the folder of a study: design, copies of all media, attention checks. Nothing in it needs the network.

    Each participant gets films and conditions in an order of their own, balanced over participants.
    """
    from avssl.study.study_folder import make_study
    from avssl.study.study_spec import read_spec

    given = {key: value for key, value in options.items() if value is not None}
    if design is not None and (films or tracks or given):
        raise UserError("expected --design, or a design by other options, got both")
    spec = read_spec(design) if design is not None else _spec(films, tracks, given)
    made = make_study(spec, out)
    click.echo(f"{made.folder}: {len(spec.films)} films, conditions {', '.join(spec.conditions)}")


@study.command(epilog=example("avssl study serve STUDY --hrirs head.sofa"))
@click.argument("folder", metavar="STUDY", type=PATH)
@click.option("--hrirs", type=PATH, help="SOFA file or folder of HRIRs of the head.  [default: a spherical head]")
@click.option("--port", default=0, help="Port of the page.  [default: the last one, or any that is free]")
@BROWSER
def serve(folder: Path, hrirs: Path | None, port: int, browser: bool) -> None:
    """Serve a study on this machine until Ctrl-C; the address stays the same for the participants who come back.

    Answers are in STUDY/answers.sqlite, under random codes, with neither name nor address. Each is on the disk before
    the page goes on.
    """
    require_web("study serve")
    from tempfile import TemporaryDirectory

    from avssl.study.answers import Answers
    from avssl.study.study_folder import read_study
    from avssl.study.study_report import participants_text
    from avssl.web.page_address import chosen_address
    from avssl.web.server import serve as run
    from avssl.web.study_page import open_study_films, study_page

    found = read_study(folder)
    with Answers(found) as answers, TemporaryDirectory(prefix="avssl-study-") as converted:
        films = open_study_films(found, Path(converted))
        address = chosen_address(folder / "page.address", port)
        run(study_page(found, answers, films, hrirs, address.token), address.port, browser)
        click.echo(participants_text(answers.arrived()))


@study.command(epilog=example("avssl study export STUDY answers.csv"))
@click.argument("folder", metavar="STUDY", type=PATH)
@click.argument("out", type=PATH)
@FAILURES
def export(folder: Path, out: Path, allowed_failures: int) -> None:
    """Write all answers as CSV, a row each."""
    from avssl.study.study_folder import read_study
    from avssl.study.study_report import export_answers

    click.echo(f"{out}: {export_answers(read_study(folder), out, allowed_failures)} answers")


@study.command(epilog=example("avssl study report STUDY --out report"))
@click.argument("folder", metavar="STUDY", type=PATH)
@click.option("--out", type=PATH, help="Folder for report.md, report.json, report.png and answers.csv.")
@FAILURES
def report(folder: Path, out: Path | None, allowed_failures: int) -> None:
    """Share called real, or preferred, by condition, with Wilson 95 % intervals; preference with exact tests.

    Participants who failed attention checks are left out and named by their codes.
    """
    from avssl.study.study_folder import read_study
    from avssl.study.study_report import study_report, write_study_report

    found = read_study(folder)
    made = write_study_report(found, out, allowed_failures) if out else study_report(found, allowed_failures)
    click.echo(made.markdown(), nl=False)


def _spec(films: tuple[str, ...], tracks: tuple[str, ...], given: dict[str, Any]) -> StudySpec:
    """A design by options; a film without a track `recorded` has its own sound as that."""
    from avssl.media import probe
    from avssl.study.study_spec import StudyFilm, make_spec

    if not films:
        raise UserError("expected --design FILE, or --film NAME=FILE and --track NAME:CONDITION=FILE, got none")
    videos = {name: Path(file) for name, file in (_split(each, "--film", "NAME=FILE") for each in films)}
    conditions: dict[str, dict[str, Path]] = {name: {} for name in videos}
    for each in tracks:
        key, file = _split(each, "--track", "NAME:CONDITION=FILE")
        name, colon, condition = key.partition(":")
        if not (colon and condition) or name not in videos:
            raise UserError(f"--track: expected NAME:CONDITION=FILE of a --film, got {each!r}")
        conditions[name][condition] = Path(file)
    for name, video in videos.items():
        if "recorded" not in conditions[name] and probe(video).audio:
            conditions[name] = {"recorded": video, **conditions[name]}
    made = [StudyFilm(name, video, conditions[name]) for name, video in videos.items()]
    return make_spec(made, given, "avssl study make", Path())


def _split(given: str, option: str, form: str) -> tuple[str, str]:
    key, equals, file = given.partition("=")
    if not (key and equals and file):
        raise UserError(f"{option}: expected {form}, got {given!r}")
    return key, file
