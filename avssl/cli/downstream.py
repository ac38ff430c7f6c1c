"""`avssl downstream`: one command for each installed head."""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from avssl import plugins
from avssl.cli.catalog import first_line
from avssl.cli.encoders_option import DEFAULT_ENCODERS, ENCODERS_HELP, named_or_default
from avssl.cli.error_handling import Commands, UserError
from avssl.cli.examples import example
from avssl.cli.options import ConfigCommand, given_keys
from avssl.cli.overrides import SET, dotted

MEASURED = "measured"
"""Folder, in that of a fitted head, of its results on other data."""
PATH = click.Path(path_type=Path)
logger = logging.getLogger(__name__)


class Heads(Commands):
    """The installed downstream heads as commands, each imported only when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the installed heads."""
        return list(plugins.names(plugins.HEADS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one head; None if no head has this name."""
        known = plugins.names(plugins.HEADS)
        return head_command(cmd_name, known[cmd_name]) if cmd_name in known else None

    def unknown(self, ctx: click.Context, name: str) -> str:
        """The error for a name that no head has."""
        return plugins.unknown_name(plugins.HEADS, name)


@click.group(cls=Heads, epilog=example("avssl downstream spatialize --help"))
def downstream() -> None:
    """Evaluate or apply pretrained encoders: one command for each installed head."""


@dataclass(frozen=True)
class HeadRequest:
    """One call of a head from the command line."""

    name: str
    encoders: Path | None
    recipe: str | None
    data: str | None
    head: Path | None
    source: Path | None
    target: Path | None
    out: Path | None
    settings: tuple[str, ...]

    def check(self) -> None:
        """See that the options go together.

        Raises:
            UserError: they do not.
        """
        if (self.source is None) != (self.target is None):
            raise UserError("--input and --output go together: the file to read and the file to make")
        if self.head is not None and self.source is None and self.data is None:
            raise UserError(
                "--head names a fitted head for --input IN --output OUT, or for --data SET to be measured on"
            )
        if self.head is not None and (self.encoders is not None or self.recipe is not None):
            raise UserError("--head names a fitted head, which brings its own: leave out --encoders and --recipe")

    def folder(self) -> Path:
        """Folder of the results."""
        if self.head is not None:
            return self.out or (self.head / MEASURED if self.head.exists() else Path("runs") / self.head.name)
        if self.out is not None:
            return self.out
        return (Path("runs") if self.encoders is None else _run_of(self.encoders)) / self.name


def _run_of(encoders: Path) -> Path:
    """Folder that takes the results of heads on encoders: their run; `runs` where they come without one."""
    from avssl.models.encoder_io import CONFIG
    from avssl.models.weights_source import is_folder

    if not is_folder(encoders):
        return Path("runs")
    folder = encoders.absolute()
    if not (folder / CONFIG).is_file():
        return encoders
    return folder.parent if folder.name == "encoders" else Path("runs")


def head_command(name: str, distribution: str) -> click.Command:
    """The command of one head; its options are imported when it is run or explains itself."""
    text = first_line(plugins.HEADS, name) or f"The head {name} of {distribution}."

    @click.command(
        name,
        cls=ConfigCommand,
        config=partial(plugins.load_options, plugins.HEADS, name),
        help=f"{text}\n\nFits and evaluates on --data; with --input and --output, applies a fitted --head to a file.",
        short_help=text,
        epilog=example(f"avssl downstream {name} --encoders runs/avsa-foa-iv --data DATA --out runs/{name}"),
    )
    @click.option("--encoders", type=PATH, help=f"{ENCODERS_HELP}  [default, where needed: {DEFAULT_ENCODERS}]")
    @click.option("--recipe", help="Name or path of a recipe of this head.")
    @click.option("--data", help="A manifest.parquet or its folder; the data set's folder.")
    @click.option("--input", "source", type=PATH, help="Apply the head to this file; - or a pipe: a stream.")
    @click.option("--output", "target", type=PATH, help="File to make from --input; - or a pipe: a stream.")
    @click.option(
        "--head", type=PATH, help="Fitted head, to apply or to measure on --data: a folder, or a name of `avssl list`."
    )
    @click.option("--out", type=PATH, help=f"Folder of results.  [default: RUN/{name}, HEAD/{MEASURED} or runs/{name}]")
    @SET
    @click.pass_context
    def run(context: click.Context, /, settings: tuple[str, ...], **given: Any) -> None:
        run_head(HeadRequest(name, settings=(*settings, *given_keys(context)), **given))

    return run


def run_head(request: HeadRequest) -> None:
    """Load a head and its encoders; fit it, apply it to a file, or measure it on other data."""
    from avssl.io.folder_lock import file_lock, folder_lock
    from avssl.io.live_paths import is_live
    from avssl.runs.run_folder import add_environment

    request.check()
    kind = plugins.load(plugins.HEADS, request.name)
    request = _with_default_head(kind, request)
    head = _new(kind, request) if request.head is None else _fitted(kind, request, request.head)
    if request.source is not None and request.target is not None:
        # Here too: a head of another distribution may take no lock.
        with nullcontext() if is_live(request.target) else file_lock(request.target):
            head.apply(request.source, request.target)
        return
    with folder_lock(request.folder()):
        metrics = (head.fit if request.head is None else head.measure)(request.folder())
        add_environment(request.folder(), request.recipe or "", sys.argv)
    if head.summary:
        click.echo(head.summary)
    for key, value in metrics.items():
        click.echo(f"{key:24} {value:.4f}")


def _with_default_head(kind: Any, request: HeadRequest) -> HeadRequest:
    """The request with the fitted head that comes with avssl, where it applies one and names none; this is said."""
    if request.source is None or (request.head, request.encoders, request.recipe) != (None, None, None):
        return request
    from avssl.models.fitted_head_scores import worth
    from avssl.models.weights_source import local_head

    name = kind.default_head(request.source, dotted(request.settings))
    if not name:
        return request
    logger.info("head: %s, which comes with avssl (%s); --head names others", name, worth(local_head(name)))
    return replace(request, head=Path(name))


def _fitted(kind: Any, request: HeadRequest, head: Path) -> Any:
    """A head fitted before, for the data that are named."""
    from omegaconf import OmegaConf

    from avssl.head import is_saved
    from avssl.models.weights_source import local_head

    folder = local_head(head) if is_saved(kind) else head
    return kind.load(folder, OmegaConf.merge(_data(kind, request), dotted(request.settings)))


def _data(kind: Any, request: HeadRequest) -> dict[str, Any]:
    """The setting that names a head's data."""
    from avssl.config import keys

    if request.data is None:
        return {}
    named = next((key for key in ("manifest", "root") if key in keys(kind.Options)), None)
    if named is None:
        raise UserError(f"the head {request.name!r} reads no data: leave out --data {request.data}")
    return {named: request.data}


def _new(kind: Any, request: HeadRequest) -> Any:
    """A new head around its encoders."""
    from avssl.models.encoders import Encoders
    from avssl.recipe_files import resolve

    data = _data(kind, request)
    options = resolve(kind.Options, request.recipe or "", data, dotted(request.settings), where=request.name)
    if request.encoders is None and not kind.takes_encoders(options):
        return kind(None, options)
    return kind(Encoders.from_pretrained(named_or_default(request.encoders)), options)
