"""`avssl reproduce`: one command for each table of the papers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from avssl.cli.error_handling import Commands, UserError
from avssl.cli.examples import example
from avssl.cli.overrides import dotted
from avssl.cli.reproduce_generator_clips import generator_clips
from avssl.cli.reproduce_real_clips import real_clips
from avssl.cli.reproduce_splits import splits_command
from avssl.cli.reproduce_weights import weights
from avssl.reproduce import ROWS, SIZES, SOUND_ROWS, TASKS

PATH = click.Path(path_type=Path)
PRETRAIN = "pretrain"
"""Section of --set for pretraining; other sections are heads."""


class SeedList(click.ParamType):  # type: ignore[type-arg]
    """Seeds with commas between them."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Numbers from a text.

        Raises:
            UserError: one is no whole number of at least 0, or is there twice.
        """
        if isinstance(value, tuple):
            return value
        parts = [each.strip() for each in str(value).split(",")]
        if not all(each.isdecimal() for each in parts) or len({int(each) for each in parts}) < len(parts):
            raise UserError(f"--seeds: expected different whole numbers with commas between them, got {value!r}")
        return tuple(map(int, parts))


@click.group(cls=Commands, epilog=example("avssl reproduce table1 --dry-run"))
def reproduce() -> None:
    """Make a table of the papers: all its runs, each continued after a stop and made once, then the table."""


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of every table."""
    options = [
        click.option("--out", type=PATH, help="Folder of runs and table.  [default: runs/reproduce-SIZE]"),
        click.option("--seeds", type=SeedList(), default="0,1,2", show_default=True, help="Seeds of every row."),
        click.option("--size", type=click.Choice(SIZES), default="small", show_default=True,
                     help="Recipes: small (two CPU cores) or full (as published)."),
        click.option("--data", help="A manifest.parquet or its folder to pretrain on.  [default: a synthetic dataset]"),
        click.option("--dry-run", is_flag=True, help="Print the runs and about how long they take; write nothing."),
        click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE",
                     help=f"Change one key of {PRETRAIN} or of a head, such as {PRETRAIN}.train.steps=1200."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def grid_options(rows: Sequence[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options of tables with the rows of Wang et al. 2023.

    Args:
        rows: those that the table has by default.
    """

    def add(command: Callable[..., None]) -> Callable[..., None]:
        chosen = click.Choice(ROWS)
        tasks = click.option("--task", "tasks", multiple=True, type=click.Choice(TASKS), help="Only this pretext task.")
        shown = f"Only this row; may be repeated.  [default: {', '.join(rows)}]"
        return tasks(click.option("--row", "rows", multiple=True, type=chosen, help=shown)(run_options(command)))

    return add


def sections(settings: Sequence[str], heads: Sequence[str]) -> dict[str, Any]:
    """`SECTION.KEY=VALUE` as nested settings of each section.

    Args:
        settings: of the command line.
        heads: sections beside `pretrain`.

    Raises:
        UserError: a section is not one of the table's, or a setting has no section.
    """
    from omegaconf import OmegaConf

    known = (PRETRAIN, *heads)
    for setting in settings:
        section, dot, _ = setting.partition("=")[0].partition(".")
        if section not in known or not dot:
            raise UserError(f"--set: expected {' or '.join(f'{each}.KEY=VALUE' for each in known)}, got {setting!r}")
    found: dict[str, Any] = OmegaConf.to_container(dotted(settings))  # type: ignore[assignment]
    return found


def make_grid(heads: Sequence[str], default_rows: Sequence[str], given: dict[str, Any]) -> Any:
    """The rows that the command line asks for.

    Args:
        heads: of the table, sections of --set.
        default_rows: rows where none is named.
        given: values of the options of `grid_options`.
    """
    from avssl.reproduce.grid import Grid

    out = given["out"] or Path("runs") / f"reproduce-{given['size']}"
    tasks = tuple(each for each in TASKS if each in (given["tasks"] or TASKS))
    rows = tuple(each for each in ROWS if each in (given["rows"] or default_rows))
    settings = sections(given["settings"], heads)
    return Grid(out, given["size"], tasks, rows, given["seeds"], given["data"] or "", settings)


@reproduce.command(
    epilog=example("avssl reproduce table1 --dry-run", "avssl reproduce table1 --ucf101 UCF101 --seeds 0")
)
@click.option("--ucf101", type=PATH, help="Folder of UCF101.")
@click.option("--hmdb51", type=PATH, help="Folder of HMDB51.")
@grid_options(ROWS)
def table1(ucf101: Path | None, hmdb51: Path | None, dry_run: bool, **given: Any) -> None:
    """Action recognition, frozen and fine-tuned, of six rows of avc and avsa (Wang et al. 2023, Table 1).

    On UCF101 and HMDB51 where their folders are given, else on synthetic actions. --set takes pretrain.KEY and
    action.KEY.
    """
    from avssl.reproduce.make_table import make_table
    from avssl.reproduce.table1 import Table1

    roots = {name: root for name, root in (("ucf101", ucf101), ("hmdb51", hmdb51)) if root is not None}
    click.echo(make_table(Table1(make_grid(["action"], ROWS, given), roots), dry_run=dry_run))


@reproduce.command(epilog=example("avssl reproduce table2 --eigenscape EIGENSCAPE --seeds 0"))
@click.option("--eigenscape", type=PATH, help="Folder of EigenScape.")
@grid_options(SOUND_ROWS)
def table2(eigenscape: Path | None, dry_run: bool, **given: Any) -> None:
    """Acoustic scenes of EigenScape from frozen audio, features x tasks (Wang et al. 2023).

    As published and by the head's defaults, on synthetic soundscapes where no folder is given. --set takes pretrain.KEY
    and eigenscape.KEY.
    """
    from avssl.reproduce.make_table import make_table
    from avssl.reproduce.table2 import Table2

    click.echo(make_table(Table2(make_grid([Table2.head], SOUND_ROWS, given), eigenscape), dry_run=dry_run))


@reproduce.command(epilog=example("avssl reproduce tau --tau TAU --seeds 0"))
@click.option("--tau", "root", type=PATH, help="Folder of TAU Urban Audio-Visual Scenes 2021.")
@grid_options(SOUND_ROWS)
def tau(root: Path | None, dry_run: bool, **given: Any) -> None:
    """Acoustic scenes of TAU Urban Audio-Visual Scenes 2021, from frozen audio, video and both.

    On synthetic scenes where no folder is given. --set takes pretrain.KEY and acoustic-scenes.KEY.
    """
    from avssl.reproduce.make_table import make_table
    from avssl.reproduce.tau_table import TauTable

    click.echo(make_table(TauTable(make_grid([TauTable.head], SOUND_ROWS, given), root), dry_run=dry_run))


reproduce.add_command(real_clips)
reproduce.add_command(generator_clips)
reproduce.add_command(weights)
reproduce.add_command(splits_command(SeedList()))
