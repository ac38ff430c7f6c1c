"""`avssl synth`: one command for each installed synthetic dataset."""

from __future__ import annotations

import logging
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from avssl import plugins
from avssl.cli.catalog import first_line
from avssl.cli.error_handling import Commands
from avssl.cli.examples import example
from avssl.cli.options import ConfigCommand, given_keys
from avssl.cli.overrides import SET, dotted
from avssl.cli.ray_option import RAY, cluster

logger = logging.getLogger(__name__)

RENDERS = "Renders into the folder OUT and prints the manifest's path; continues what was interrupted."
CODES = "Exit code 0: done; 1: done, but input files that cannot be read were left out and listed; 2: wrong input."


class SyntheticDatasets(Commands):
    """The installed synthetic datasets as commands, each imported only when it is rendered or explains itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the installed synthetic datasets."""
        return list(plugins.names(plugins.SYNTHETIC_DATASETS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one synthetic dataset; None if none has this name."""
        return synth_command(cmd_name) if cmd_name in plugins.names(plugins.SYNTHETIC_DATASETS) else None

    def unknown(self, ctx: click.Context, name: str) -> str:
        """The error for a name that no synthetic dataset has."""
        return plugins.unknown_name(plugins.SYNTHETIC_DATASETS, name)


@click.group(cls=SyntheticDatasets, epilog=example("avssl synth synth360 OUT --clips 500 --seed 0"))
def synth() -> None:
    """Render a synthetic dataset with ground truth."""


def synth_command(name: str) -> click.Command:
    """The command of one synthetic dataset: the fields of its `Options` are flags."""
    text = first_line(plugins.SYNTHETIC_DATASETS, name)

    @click.command(
        name,
        cls=ConfigCommand,
        config=partial(plugins.load_options, plugins.SYNTHETIC_DATASETS, name),
        help=f"{text}\n\n{RENDERS}\n\n{CODES}",
        short_help=text,
        epilog=example(f"avssl synth {name} OUT --seed 0"),
    )
    @click.argument("out", type=click.Path(path_type=Path))
    @click.option("--workers", type=int, help="Processes.  [default: one per core]")
    @RAY
    @SET
    @click.pass_context
    def run(context: click.Context, out: Path, workers: int | None, ray: str | None, settings: tuple[str, ...]) -> None:
        from avssl.config import fill
        from avssl.io.folder_lock import folder_lock
        from avssl.synth.dataset_base import load_synthetic_dataset

        kind = load_synthetic_dataset(name)
        options: Any = fill(kind.Options, dotted((*settings, *given_keys(context))), where=name)
        dataset = kind(options)
        with cluster(ray, out=out), folder_lock(out):  # here too: a dataset of another distribution may take no lock
            click.echo(dataset.render(out, workers=workers))
        if dataset.failures:
            logger.error("%d input files could not be read and were left out", len(dataset.failures))
            sys.exit(1)

    return run
