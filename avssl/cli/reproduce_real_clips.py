"""`avssl reproduce real-clips`: encoders on recordings, by cross-validation over videos."""

from __future__ import annotations

from pathlib import Path

import click

from avssl.cli.examples import example
from avssl.cli.options import ConfigCommand, given_keys
from avssl.cli.overrides import SET, dotted

ROWS = ("straight-ahead", "untrained", "scratch", "pretrained", "adapted")
PATH = click.Path(path_type=Path)


def _options() -> type:
    from avssl.reproduce.real_clips import RealClipsOptions

    return RealClipsOptions


@click.command(
    "real-clips",
    cls=ConfigCommand,
    config=_options,
    epilog=example(
        "avssl reproduce real-clips --data CLIPS --encoders runs/avsa-foa-iv --group-by '(.+)_\\d+' --dry-run",
        "avssl reproduce real-clips --data CLIPS --encoders RUN0 --encoders RUN1 --encoders RUN2 --adapt.steps 120",
    ),
)
@click.option("--data", required=True, help="A manifest.parquet or its folder: 360-degree clips with ambisonics.")
@click.option(
    "--encoders",
    type=PATH,
    multiple=True,
    required=True,
    metavar="RUN",
    help="Run folder of pretraining; may be repeated for its seeds, which partitions take in turn.",
)
@click.option(
    "--out",
    type=PATH,
    default=Path("runs/real-clips"),
    show_default=True,
    help="Folder of the runs of all folds and of the table.",
)
@click.option(
    "--row",
    "rows",
    multiple=True,
    type=click.Choice(ROWS),
    help=f"Only this row; may be repeated.  [default: {', '.join(ROWS)}]",
)
@click.option("--dry-run", is_flag=True, help="Print the runs and about how long they take; write nothing.")
@SET
@click.pass_context
def real_clips(
    context: click.Context,
    data: str,
    encoders: tuple[Path, ...],
    out: Path,
    rows: tuple[str, ...],
    dry_run: bool,
    settings: tuple[str, ...],
) -> None:
    """Encoders on real 360-degree clips, from no training on them to training from scratch.

    Cross-validation over videos: pretrained encoders as they are and adapted on the training videos, encoders trained
    on these from scratch, untrained ones; AVSA-Bin, AVC-Bin, retrieval, rank of the true yaw and direction of the heat
    map, beside chance and beside straight ahead. Complete folds are not made again; a stopped one continues.
    """  # fmt: skip
    from avssl.config import fill
    from avssl.reproduce import real_clips as table
    from avssl.reproduce.make_table import make_runs

    options = fill(table.RealClipsOptions, dotted([*settings, *given_keys(context)]), where=table.NAME)
    chosen = tuple(each for each in ROWS if each in (rows or ROWS))
    made = table.real_clips(data, encoders, out, options, chosen)
    plan = make_runs(table.NAME, made.runs(), dry_run=dry_run)
    click.echo(plan if dry_run else made.write())
