"""`avssl reproduce splits`: recipes of generators on every split of a data set, averaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from avssl.cli.examples import example
from avssl.cli.overrides import SET, dotted

PATH = click.Path(path_type=Path)


def splits_command(seeds: Any) -> click.Command:
    """The command.

    Args:
        seeds: click type of the option --seeds.
    """

    @click.command(
        "splits",
        epilog=example(
            "avssl reproduce splits --data FAIR_PREPARED --lists FAIR-Play/new_splits \\\n"
            "    --recipe spatialize/pseudo_binaural-full --recipe spatialize/pseudo_binaural-full-supervised"
        ),
    )
    @click.option("--data", required=True, help="A manifest.parquet or its folder, of all clips.")
    @click.option(
        "--lists",
        type=PATH,
        required=True,
        help="Folder of sets of lists train, val, test (.txt or .h5), such as split1 to split5.",
    )
    @click.option(
        "--recipe", "recipes", multiple=True, required=True, help="A recipe of spatialize; may be repeated: a row each."
    )
    @click.option("--seeds", type=seeds, default="0", show_default=True, help="Seeds of every row.")
    @click.option("--metric", "metrics", multiple=True, help="A metric to show; may be repeated.")
    @click.option(
        "--out", type=PATH, default=Path("runs/splits"), show_default=True, help="Folder of all runs and of the table."
    )
    @click.option("--dry-run", is_flag=True, help="Print the runs; write nothing.")
    @SET
    def splits(
        data: str,
        lists: Path,
        recipes: tuple[str, ...],
        seeds: tuple[int, ...],
        metrics: tuple[str, ...],
        out: Path,
        dry_run: bool,
        settings: tuple[str, ...],
    ) -> None:
        """Train and evaluate generators on every split of a data set, and average, as on the five of FAIR-Play.

        Each set of lists takes the place of the manifest's own splits. Complete runs are not made again; a stopped one
        continues. --set changes a key of all runs.
        """
        from omegaconf import OmegaConf

        from avssl.reproduce.make_table import make_table
        from avssl.reproduce.split_table import SplitTable

        given: Any = OmegaConf.to_container(dotted(settings))
        table = SplitTable(out, data, lists, recipes, seeds, given, metrics)
        click.echo(make_table(table, dry_run=dry_run))

    return splits
