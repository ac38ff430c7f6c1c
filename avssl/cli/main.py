"""`avssl` and its commands."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from avssl import __version__, plugins
from avssl.cli.annotate import annotate
from avssl.cli.catalog import list_installed
from avssl.cli.detect import detect, detected, train_detector
from avssl.cli.download import download
from avssl.cli.downstream import downstream
from avssl.cli.embed import embed
from avssl.cli.energy import energy_overlay
from avssl.cli.error_handling import Commands, UserError
from avssl.cli.examples import example
from avssl.cli.inspect import inspect
from avssl.cli.installed import PluginName
from avssl.cli.logs import logging_to_stderr
from avssl.cli.options import ConfigCommand, given_keys
from avssl.cli.overrides import SET, dotted
from avssl.cli.pack import pack
from avssl.cli.play import play
from avssl.cli.push import push
from avssl.cli.ray_option import RAY, cluster
from avssl.cli.reproduce import reproduce
from avssl.cli.study import study
from avssl.cli.synth import synth
from avssl.io.ranks import is_first_process

PATH = click.Path(path_type=Path)
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
EPILOG = f"""Exit codes: 0 done; 1 some files failed and are listed; 2 wrong input, in one line; 130 stopped by Ctrl-C,
143 by SIGTERM, 129 by SIGHUP.

{example("avssl list", "avssl pretrain --task avsa --features foa-iv", "avssl downstream correspondence --help")}"""

WIDTH = 200
"""Columns of the table of `bench` where standard output is no terminal."""
BENCHMARKS = (
    "frames", "audio", "crops", "sample", "load", "packed", "rotation", "logmel", "features", "intensity", "binaural",
    "room", "flow", "tower", "infonce", "alignment", "sigmoid", "step", "step-small", "step-full", "detector", "embed",
    "prepare", "synth", "startup", "spatialize",
)  # fmt: skip
"""Names of `avssl.bench.suite.all_cases`, whose import takes seconds."""


@click.group(cls=Commands, context_settings=SETTINGS, epilog=EPILOG)
@click.version_option(__version__, prog_name="avssl")
@click.option("-v", "--verbose", is_flag=True, help="Show debugging messages too.")
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors only: no progress, no messages.")
@click.pass_context
def main(context: click.Context, verbose: bool, quiet: bool) -> None:
    """Self-supervised learning from the spatial alignment of sight and sound."""
    if verbose and quiet:
        raise UserError("expected -v or -q, got both")
    context.with_resource(logging_to_stderr(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO))


for command in (
    annotate,
    detect,
    download,
    downstream,
    embed,
    energy_overlay,
    inspect,
    list_installed,
    pack,
    play,
    push,
    reproduce,
    study,
    synth,
    train_detector,
):
    main.add_command(command)


def _run_config() -> type:
    from avssl.config import RunConfig

    return RunConfig


@main.command(
    cls=ConfigCommand,
    config=_run_config,
    epilog=example(
        "avssl pretrain --task avsa --features foa-iv",
        "avssl pretrain --recipe avsa/full --data MANIFEST --optim.lr 1e-4",
        "avssl pretrain --task avc --help  # options of another task",
    ),
)
@click.option("--task", help="Pretext task; `avssl list` shows the installed ones.  [default: the recipe's, else avsa]")
@click.option("--features", help="Input features of the audio tower, such as foa-iv; `avssl list` shows all.")
@click.option("--recipe", help="Name of a shipped recipe (avsa/small) or a path.  [default: TASK/small]")
@click.option(
    "--data", help="A manifest.parquet or its folder, also s3://, gs:// or http://.  [default: a synthetic dataset]"
)
@click.option(
    "--init",
    help="Encoders to start from: a folder, a name of `avssl list`, hf://USER/NAME.  [default: random weights]",
)
@click.option("--out", type=PATH, help="Run folder; continued if begun.  [default: runs/TASK-FEATURES]")
@SET
@click.pass_context
def pretrain(
    context: click.Context,
    task: str | None,
    features: str | None,
    recipe: str | None,
    data: str | None,
    init: str | None,
    out: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Train audio and video encoders on a pretext task.

    Any key below is a flag; a recipe's value holds where no flag is given. SIGTERM, SIGHUP (a closed terminal) and
    Ctrl-C save the run, exit code 0; the same command continues it.
    """
    from avssl.config import RunConfig
    from avssl.recipe_files import resolve

    flags = [("features", "name", features), ("data", "manifest", data), ("model", "init", init)]
    given: dict[str, Any] = {section: {key: value} for section, key, value in flags if value is not None}
    given |= {"task": task} if task is not None else {}
    name = recipe or _default_recipe(task or "avsa")
    config = resolve(RunConfig, name, given, dotted([*settings, *given_keys(context)]))
    from avssl.train.pretrain import pretrain as run
    from avssl.train.pretrain import summary

    folder = out or Path("runs") / f"{config.task}-{config.features.name}"
    run(config, folder, recipe=name, command=sys.argv)
    if is_first_process():
        click.echo(summary(config, folder))


@main.command(epilog=example("avssl prepare RECORDINGS OUT --layout yt360"))
@click.argument("root", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--layout",
    required=True,
    type=PluginName(plugins.LAYOUTS),
    help="Directory layout of ROOT; `avssl list` describes each.",
)
@click.option(
    "--split",
    default="",
    help="Split lists of a data set, such as FAIR-Play's new_splits/split2, or shares train/val/test of a folder of "
    "your own, such as 0.8/0.1/0.1.  [default: the first lists]",
)
@click.option(
    "--group-by",
    default="source",
    show_default=True,
    metavar="SOURCE",
    help="What no two of the shares contain: source (file name without numbers at its end), clip, folder, or a regular "
    "expression with a group (...) in the path.",
)
@click.option(
    "--projection",
    default="auto",
    type=click.Choice(["auto", "equirect", "flat", "eac", "cubemap"]),
    show_default=True,
    help="Projection of the frames; eac and cubemap are converted to equirectangular; auto: from layout, header and "
    "shape.",
)
@click.option(
    "--faces",
    default="rludfb",
    show_default=True,
    metavar="ORDER",
    help="Order of the faces of --projection cubemap, row by row: right, left, up, down, front, back.",
)
@click.option(
    "--channel-layout",
    default="auto",
    show_default=True,
    help="Channel layout of the audio: ambix, fuma, acn-n3d, wxy, youtube-327, stereo, binaural…",
)
@click.option(
    "--height",
    default=224,
    show_default=True,
    help="Height of the proxies, pixels; equirectangular ones are twice as wide.",
)
@click.option("--frame-rate", default=16.0, show_default=True, help="Maximum frame rate of the proxies, Hz.")
@click.option("--sample-rate", default=24000, show_default=True, help="Sample rate of the prepared audio, Hz.")
@click.option(
    "--frames",
    default="h264",
    type=click.Choice(["h264", "jpeg"]),
    show_default=True,
    help="Frames of the proxies; jpeg: each a JPEG image of quality 90, four to eight times the bytes, read faster.",
)
@click.option("--detect", "model", metavar="MODEL", help="Detect objects with this model too; see `avssl detect`.")
@click.option("--workers", type=int, help="Worker processes.  [default: one per core]")
@RAY
def prepare(root: Path, out: Path, layout: str, model: str | None, ray: str | None, **options: Any) -> None:
    """Prepare the recordings under ROOT: manifest and small proxies in OUT.

    An interrupted preparation continues. Exit code 0: all recordings prepared; 1: some failed, see OUT/failed.parquet;
    2: no recording could be prepared.
    """
    from avssl.datasets.prepare import prepare as run

    if model is not None:
        from avssl.datasets.layout import load_layout
        from avssl.detection.backends import load_detector

        if "flat" in (load_layout(layout).projection, options["projection"]):
            raise UserError("--detect: expected 360-degree frames, got an ordinary field of view; leave out --detect")
        load_detector(model)  # an unreadable model raises before hours of work
    with cluster(ray, [root], out):
        report = run(root, out, layout, **options)
    click.echo(report.text())
    undetected = model is not None and bool(report.rows) and detected(out, model, ray)
    sys.exit(1 if report.failed or undetected else 0)


@main.command(epilog=example("avssl bench --only crops --only rotation", "avssl bench --into docs/benchmarks.md"))
@click.option("--only", multiple=True, metavar="NAME", help=f"Group of rows: {', '.join(BENCHMARKS)}.")
@click.option("--repeats", default=15, show_default=True, help="Repetitions of each side; of rows that take long, 3.")
@click.option("--threads", type=int, help="Threads of torch, OpenCV, numpy and PyAV.  [default: one per core]")
@click.option("--json", "target", type=click.Path(path_type=Path), help="File for all measured times.")
@click.option("--figure", type=click.Path(path_type=Path), help="PNG, PDF or SVG of the ratios beside their aims.")
@click.option("--into", type=click.Path(path_type=Path), help="Markdown file whose marked section is rewritten.")
def bench(only: tuple[str, ...], repeats: int, threads: int | None, target: Path | None, **outputs: Any) -> None:
    """Benchmark against other libraries: ratios of median times, after both results agree.

    --into puts the tables between the lines <!-- avssl report bench --> and <!-- end of report bench -->. Exit code 1:
    the two sides of a row disagree.
    """
    from avssl.bench.suite import bench as run

    report = run(only, repeats, threads, target, **outputs)
    click.echo(report.text(None if sys.stdout.isatty() else WIDTH))
    sys.exit(1 if any(each.failed for each in report.absent) else 0)


@main.command(epilog=example("avssl report runs/avsa-* --out report", "avssl report runs/* --html runs.html"))
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for table, CSV and figure.")
@click.option("--into", type=click.Path(path_type=Path), help="Markdown file whose marked section is rewritten.")
@click.option("--part", default="", metavar="NAME", help="Name of the section, after <!-- avssl report NAME -->.")
@click.option("--baseline", default="", metavar="TITLE", help="Row to compare with.  [default: first of each task]")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Metric to show, as in metrics.json.")
@click.option("--same", multiple=True, metavar="KEY", help="Setting in which runs of one row may differ.")
@click.option("--html", type=click.Path(path_type=Path), help="File for one page: curves, embeddings, clips to play, …")
@click.option("--examples", default=3, show_default=True, help="Worst, and as many best clips of a run, on the page.")
def report(runs: tuple[Path, ...], out: Path | None, into: Path | None, **options: Any) -> None:
    """Table and figure of finished RUNS; runs that differ only in the seed are one row.

    The table is printed; --into puts it between the lines <!-- avssl report --> and <!-- end of report -->.
    """
    from avssl.report.report import report as make

    click.echo(make(runs, out, into, **options), nl=False)


@main.command(epilog=example("avssl recipe avsa/small > mine.yaml", "avssl pretrain --recipe mine.yaml"))
@click.argument("name")
def recipe(name: str) -> None:
    """Print a shipped recipe, to copy and change."""
    from avssl.recipe_files import recipe_path
    from avssl.regular_files import read_text

    click.echo(read_text(recipe_path(name), "a recipe"), nl=False)


def _default_recipe(task: str) -> str:
    """`TASK/small` if avssl ships it, else none."""
    from avssl.recipe_files import shipped_recipes

    name = f"{task}/small"
    return name if name in shipped_recipes() else ""
