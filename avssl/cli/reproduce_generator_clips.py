"""`avssl reproduce generator-clips`: generators of spatial audio on recordings, tested on other videos."""

from __future__ import annotations

from pathlib import Path

import click

from avssl.cli.examples import example
from avssl.cli.options import ConfigCommand, given_keys
from avssl.cli.overrides import SET, dotted

ROWS = ("fitted", "calibrated", "adapted", "scratch")
PATH = click.Path(path_type=Path)


def _options() -> type:
    from avssl.reproduce.generator_clips import GeneratorClipsOptions

    return GeneratorClipsOptions


@click.command(
    "generator-clips",
    cls=ConfigCommand,
    config=_options,
    epilog=example(
        "avssl reproduce generator-clips --data CLIPS --head runs/foa360 --group-by '(.+)_\\d+' --dry-run",
        "avssl reproduce generator-clips --data CLIPS --recipe spatialize/foa360-full "
        "--folds 4 --repeats 3 --tested-folds 1",
    ),
)
@click.option("--data", required=True, help="A manifest.parquet or its folder: 360-degree clips with ambisonics.")
@click.option(
    "--head", type=PATH, default=None, help="Folder or name of a fitted generator: rows fitted, calibrated, adapted."
)
@click.option("--recipe", default="", help="Recipe of the row scratch.  [default: options of the fitted generator]")
@click.option("--encoders", type=PATH, default=None, metavar="RUN", help="Pretraining run, for branches `encoders`.")
@click.option(
    "--out",
    type=PATH,
    default=Path("runs/generator-clips"),
    show_default=True,
    help="Folder of the runs of all folds and of the table.",
)
@click.option("--row", "rows", multiple=True, type=click.Choice(ROWS), help="Only this row; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Print the runs; write nothing.")
@SET
@click.pass_context
def generator_clips(
    context: click.Context,
    data: str,
    head: Path | None,
    recipe: str,
    encoders: Path | None,
    out: Path,
    rows: tuple[str, ...],
    dry_run: bool,
    settings: tuple[str, ...],
) -> None:
    """Generators of ambisonics on real 360-degree clips: as fitted, calibrated, adapted, trained from scratch.

    Cross-validation over videos, or random partitions as in Morgado et al. 2018: energy explained, direction error and
    the paper's distances from the clips' own W, averaged per video, beside silence, the prior of the training videos
    and straight ahead. Complete folds are not made again; a stopped one continues.
    """  # fmt: skip
    from avssl.config import fill
    from avssl.models.weights_source import local_head
    from avssl.reproduce import generator_clips as table
    from avssl.reproduce.make_table import make_runs

    options = fill(table.GeneratorClipsOptions, dotted([*settings, *given_keys(context)]), where=table.NAME)
    chosen = tuple(each for each in ROWS if each in rows)
    fitted = None if head is None else local_head(head)
    made = table.generator_clips(data, out, options, fitted, recipe, encoders, chosen)
    plan = make_runs(table.NAME, made.runs(), dry_run=dry_run)
    click.echo(plan if dry_run else made.write())
