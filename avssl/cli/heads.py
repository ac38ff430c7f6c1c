"""`avssl downstream`: one command an installed head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from avssl import plugins
from avssl.cli.errors import Commands, UserError
from avssl.cli.settings import SET, dotted

MEASURED = "measured"
"""Folder, in that of a fitted head, of its results on other data."""
PATH = click.Path(path_type=Path)


class Heads(Commands):
    """The installed downstream heads as commands, each imported only when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the installed heads."""
        return list(plugins.names(plugins.HEADS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one head.

        Raises:
            ValueError: no head has this name.
        """
        plugins.check_installed(plugins.HEADS, cmd_name)
        return _command(cmd_name, plugins.names(plugins.HEADS)[cmd_name])


@click.group(cls=Heads)
def downstream() -> None:
    """Use pretrained encoders: one command an installed head."""


@dataclass(frozen=True)
class Wish:
    """What a user asked of a head."""

    name: str
    encoders: Path | None
    recipe: str | None
    data: str | None
    head: Path | None
    source: Path | None
    target: Path | None
    out: Path | None
    settings: tuple[str, ...]

    def folder(self) -> Path:
        """Where the results go."""
        if self.head is not None:
            return self.out or self.head / MEASURED
        if self.out is not None:
            return self.out
        return (Path("runs") if self.encoders is None else _beside(self.encoders)) / self.name


def _beside(encoders: Path) -> Path:
    """Folder that takes the results of heads on encoders: their run; `runs` where they are published without one."""
    from avssl.models.folder import CONFIG

    folder = encoders.absolute()
    if not (folder / CONFIG).is_file():
        return encoders
    return folder.parent if folder.name == "encoders" else Path("runs")


def _command(name: str, distribution: str) -> click.Command:
    """The command of one head: any option of it is a flag too, so that nothing is imported to show help."""
    options: list[Callable[..., Any]] = [
        click.option("--encoders", type=PATH, help="Run folder, or its encoders folder."),
        click.option("--recipe", help="Name or path of a recipe of this head."),
        click.option("--data", help="A manifest.parquet or its folder; the data set's folder."),
        click.option("--apply", "source", type=PATH, help="Apply the head to this file."),
        click.option("--to", "target", type=PATH, help="Where the result of --apply goes."),
        click.option("--head", type=PATH, help="Folder of a fitted head: for --apply, or to be measured on --data."),
        click.option(
            "--out", type=PATH, help=f"Folder of results.  [default: RUN/{name}, HEAD/{MEASURED} or runs/{name}]"
        ),
        SET,
    ]

    def run(settings: tuple[str, ...], further: tuple[str, ...], **given: Any) -> None:
        _run(Wish(name, settings=(*settings, *_as_settings(further)), **given))

    text = f"The head {name!r} of {distribution}. Any of its options can be given as --set KEY=VALUE or --KEY VALUE."
    command = click.command(name=name, help=text, context_settings={"ignore_unknown_options": True})(run)
    command.params.append(click.Argument(["further"], nargs=-1, type=click.UNPROCESSED, metavar="[--KEY VALUE]..."))
    for option in reversed(options):
        command = option(command)
    return command


def _as_settings(further: Sequence[str]) -> list[str]:
    """`--some-key VALUE` and `--some-key=VALUE` as `some_key=VALUE`."""
    settings, waiting = [], list(further)
    while waiting:
        flag = waiting.pop(0)
        if not flag.startswith("--") or len(flag) == 2:
            raise UserError(f"expected --KEY VALUE, got {flag!r}")
        key, given, value = flag[2:].partition("=")
        if not given:
            if not waiting:
                raise UserError(f"--{key} wants a value")
            value = waiting.pop(0)
        settings.append(f"{key.replace('-', '_')}={value}")
    return settings


def _run(wish: Wish) -> None:
    """Load a head and its encoders; fit it, apply it to a file, or measure it on other data."""
    if (wish.source is None) != (wish.target is None):
        raise UserError("--apply and --to go together: the file to read and the file to make")
    if wish.head is not None and wish.source is None and wish.data is None:
        raise UserError("--head names a fitted head for --apply IN --to OUT, or for --data SET to be measured on")
    if wish.head is not None and (wish.encoders is not None or wish.recipe is not None):
        raise UserError("--head names a fitted head, which brings its own: leave out --encoders and --recipe")
    kind = plugins.load(plugins.HEADS, wish.name)
    head = _made(kind, wish) if wish.head is None else _loaded(kind, wish)
    if wish.source is not None and wish.target is not None:
        head.apply(wish.source, wish.target)
        return
    for key, value in _left(wish.folder(), head.fit if wish.head is None else head.measure).items():
        click.echo(f"{key:24} {value:.4f}")


def _loaded(kind: Any, wish: Wish) -> Any:
    """A head fitted before, for the data that are named."""
    from omegaconf import OmegaConf

    return kind.load(wish.head, OmegaConf.merge(_data(kind, wish), dotted(wish.settings)))


def _data(kind: Any, wish: Wish) -> dict[str, Any]:
    """The setting that names a head's data."""
    from avssl.config import keys

    if wish.data is None:
        return {}
    named = next((key for key in ("manifest", "root") if key in keys(kind.Options)), None)
    if named is None:
        raise UserError(f"the head {wish.name!r} reads no data: leave out --data {wish.data}")
    return {named: wish.data}


def _made(kind: Any, wish: Wish) -> Any:
    """A new head around its encoders."""
    from avssl.config import fill, read_recipe
    from avssl.models.encoders import Encoders

    data = _data(kind, wish)
    if wish.encoders is None and kind.needs_encoders:
        raise UserError(f"the head {wish.name!r} needs --encoders: a run folder, or its encoders folder")
    layers = [read_recipe(wish.recipe, kind.Options)] if wish.recipe else []
    options = fill(kind.Options, *layers, data, dotted(wish.settings), where=wish.name)
    return kind(Encoders.from_pretrained(wish.encoders) if wish.encoders else None, options)


def _left(folder: Path, work: Callable[[Path], dict[str, float]]) -> dict[str, float]:
    """Fit or measure in a folder that is there; one made for it that stays empty is taken away again."""
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return work(folder)
    finally:
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
