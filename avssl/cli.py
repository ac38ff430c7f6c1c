"""The command line: each command reads its flags and calls the one function that does the work."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from avssl import __version__, plugins

SET = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one key, such as optim.lr=1e-4."
)


class UserError(click.ClickException):
    """What a user gave cannot be worked with: one line, exit code 2."""

    exit_code = 2


class Commands(click.Group):
    """A group whose commands report what users got wrong in one line; `AVSSL_DEBUG=1` shows the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; `ValueError` and `OSError` become one line."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (ValueError, OSError) as error:
            if os.environ.get("AVSSL_DEBUG"):
                raise
            raise UserError(_line(error)) from error


class Heads(Commands):
    """The installed downstream heads as commands, each imported only when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the installed heads."""
        return list(plugins.names(plugins.HEADS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one head.

        Raises:
            UserError: no head has this name.
        """
        known = plugins.names(plugins.HEADS)
        if cmd_name not in known:
            near = plugins.hint(cmd_name, known)
            raise UserError(f"no downstream head named {cmd_name!r}; installed: {', '.join(known)}{near}")
        return _head_command(cmd_name, known[cmd_name])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="avssl")
def main() -> None:
    """Self-supervised learning from the spatial alignment of sight and sound."""


@main.command()
@click.option("--task", help="Pretext task; `avssl list` shows the installed ones.  [default: the recipe's, else avsa]")
@click.option("--features", help="Input of the audio tower, such as foa-iv or foa-logmel.")
@click.option("--recipe", help="Name of a shipped recipe (avsa/small) or a path.  [default: TASK/small]")
@click.option("--data", help="A manifest.parquet or its folder.  [default: the built-in synth360 world]")
@click.option("--init", help="Encoders or run folder to start from.  [default: random weights]")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Run folder; continued if begun.  [default: runs/TASK-FEATURES]"
)
@SET
def pretrain(
    task: str | None,
    features: str | None,
    recipe: str | None,
    data: str | None,
    init: str | None,
    out: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Train audio and video encoders on a pretext task."""
    from avssl.config import RunConfig, fill, read_recipe

    flags = [("features", "name", features), ("data", "manifest", data), ("model", "weights", init)]
    given: dict[str, Any] = {section: {key: value} for section, key, value in flags if value is not None}
    given |= {"task": task} if task is not None else {}
    name = recipe or _default_recipe(task or "avsa")
    layers = [read_recipe(name)] if name else []
    config = fill(RunConfig, *layers, given, _dotted(settings))
    from avssl.train.pretrain import pretrain as run

    run(config, out or Path("runs") / f"{config.task}-{config.features.name}", recipe=name, command=sys.argv)


@main.group(cls=Heads)
def downstream() -> None:
    """Use pretrained encoders: one command an installed head."""


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--layout",
    required=True,
    type=click.Choice(["yt360", "fair-play", "music", "youtube-asmr", "files"]),
    help="How ROOT is organised.",
)
@click.option(
    "--split", default="", help="Lists of FAIR-Play (new_splits/split2) and the like to split by.  [default: the first]"
)
@click.option(
    "--projection",
    default="auto",
    type=click.Choice(["auto", "equirect", "flat"]),
    show_default=True,
    help="Declare pictures equirectangular, or of an ordinary field of view, where nothing says so.",
)
@click.option(
    "--sound-layout",
    default="auto",
    show_default=True,
    help="Declare channels: ambix, fuma, acn-n3d, wxy, youtube-327, stereo, binaural…",
)
@click.option("--height", default=224, show_default=True, help="Rows of the proxies; worlds are twice as wide.")
@click.option("--frame-rate", default=16.0, show_default=True, help="Most pictures a second of the proxies.")
@click.option("--sample-rate", default=24000, show_default=True, help="Samples a second of the prepared sound, in Hz.")
@click.option("--detect", "model", metavar="MODEL", help="Look for objects too; see `avssl detect`.")
@click.option("--workers", type=int, help="Processes.  [default: one a core]")
def prepare(root: Path, out: Path, layout: str, model: str | None, **options: Any) -> None:
    """Turn recordings under ROOT into a manifest and small proxies in OUT.

    Continues what was begun. Exit code 0: all done; 1: some recordings failed, see OUT/failed.parquet;
    2: nothing could be begun.
    """
    from avssl.data.prepare import prepare as run

    if model is not None:
        from avssl.data.detectors import load_detector

        load_detector(model)  # so that one that cannot be read is known before hours of work
    report = run(root, out, layout, **options)
    if model is not None and report.rows:
        from avssl.data.detect import detect as look

        click.echo(look(out, model))
    sys.exit(1 if report.failed else 0)


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--model", required=True, help="Path of a detector, torchvision/NAME:WEIGHTS, or truth of a rendered world."
)
@click.option("--rate", default=2.0, show_default=True, help="Frames looked at a second.")
@click.option(
    "--views", help="viewports or equirect: overlapping views, or the whole frame alone.  [default: the model's]"
)
@click.option("--least-score", default=0.25, show_default=True, help="Objects of a lower score are left out.")
def detect(data: Path, model: str, **options: Any) -> None:
    """Look for objects in the 360-degree clips of the manifest in DATA, and keep them beside it.

    MODEL is a .pt or .onnx file or an OpenVINO folder that ultralytics reads, or a folder of `avssl detector`. Nothing
    is downloaded. ultralytics (extra `detect`) is AGPL-3.0, and so are the weights that come from it.
    """
    from avssl.data.detect import detect as run

    click.echo(run(data, model, **options))


@main.command()
@click.argument("world", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--recipe", default="detect/synth360", show_default=True, help="Name of a shipped recipe or a path.")
@SET
def detector(world: Path, out: Path, recipe: str, settings: tuple[str, ...]) -> None:
    """Train a detector on the truth of a rendered WORLD; the folder OUT is then a MODEL of `avssl detect`.

    ultralytics (extra `detect`) trains it from random weights; its AGPL-3.0, its makers say, binds the network too.
    """
    from avssl.train.detector import configured, train_detector

    for key, value in train_detector(world, out, configured(recipe, _dotted(settings))).items():
        click.echo(f"{key:24} {value:.4f}")


@main.group(cls=Commands)
def scenes() -> None:
    """Render made-up worlds with known truth."""


@scenes.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--clips", default=500, show_default=True, help="Scenes to render.")
@click.option("--seconds", default=4.0, show_default=True, help="Length of each scene.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same world.")
@click.option("--width", default=448, show_default=True, help="Columns of the frames; rows are half as many.")
@click.option("--frame-rate", default=16.0, show_default=True, help="Pictures a second.")
@click.option("--sample-rate", default=24000, show_default=True, help="Samples a second, in Hz.")
@click.option("--workers", type=int, help="Processes.  [default: one a core]")
def synth360(out: Path, clips: int, seconds: float, seed: int, **options: Any) -> None:
    """Sounding objects around a 360-degree camera: video, first-order ambisonics, and the truth per frame."""
    from avssl.scenes.synth360 import synth360 as render

    click.echo(render(out, clips, seconds, seed, **options))


@scenes.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--clips", default=500, show_default=True, help="Scenes to render.")
@click.option("--seconds", default=4.0, show_default=True, help="Length of each scene.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same world.")
@click.option("--width", default=224, show_default=True, help="Columns of the frames.")
@click.option("--height", default=128, show_default=True, help="Rows of the frames.")
@click.option("--fov", default=90.0, show_default=True, help="Horizontal field of view, degrees.")
@click.option(
    "--hrirs", type=click.Path(path_type=Path), help="SOFA file, or CIPIC or SADIE folder.  [default: a sphere]"
)
@click.option("--room/--no-room", default=True, show_default=True, help="Reflections, reverberation, background noise.")
@click.option("--frame-rate", default=16.0, show_default=True, help="Pictures a second.")
@click.option("--sample-rate", default=24000, show_default=True, help="Samples a second, in Hz.")
@click.option("--workers", type=int, help="Processes.  [default: one a core]")
def stage(out: Path, clips: int, seconds: float, seed: int, **options: Any) -> None:
    """Sounding objects in front of an ordinary camera, heard by two ears: video, binaural sound, and the truth."""
    from avssl.scenes.stage import stage as render

    click.echo(render(out, clips, seconds, seed, **options))


@main.command()
@click.option("--only", multiple=True, metavar="NAME", help="crops, features, rotation, infonce, frames or sound.")
@click.option("--repeats", default=15, show_default=True, help="Times that each side is run.")
@click.option("--threads", type=int, help="Threads of torch, OpenCV and PyAV.  [default: one a core]")
@click.option("--json", "target", type=click.Path(path_type=Path), help="Write every single time to this file too.")
def bench(only: tuple[str, ...], repeats: int, threads: int | None, target: Path | None) -> None:
    """Speed beside that of other libraries, measured here: ratios of medians, once both sides agree."""
    from avssl.bench.run import bench as run

    run(only, repeats, threads, target)


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for table, CSV and figure.")
@click.option("--into", type=click.Path(path_type=Path), help="Markdown file whose marked part is rewritten.")
@click.option("--baseline", default="", metavar="TITLE", help="Row to compare with.  [default: first of each task]")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Show this one, as in metrics.json.")
@click.option("--same", multiple=True, metavar="KEY", help="Runs of one row may differ in this setting, too.")
def report(runs: tuple[Path, ...], out: Path | None, into: Path | None, **options: Any) -> None:
    """One table and one figure of finished RUNS: a row for those that differ only in the seed.

    The table is printed; --into puts it between the lines <!-- avssl report --> and <!-- end of report -->.
    """
    from avssl.report.report import report as make

    click.echo(make(runs, out, into, say=lambda line: click.echo(line, err=True), **options), nl=False)


@main.command(name="list")
def list_installed() -> None:
    """Installed tasks and heads, shipped recipes."""
    from avssl.config import shipped_recipes

    for title, group in (("tasks", plugins.TASKS), ("downstream heads", plugins.HEADS)):
        click.echo(f"{title}:")
        for name, distribution in plugins.names(group).items():
            click.echo(f"  {name:20} {distribution}")
    click.echo("recipes:")
    for name in shipped_recipes():
        click.echo(f"  {name}")


@main.command()
@click.argument("name")
def recipe(name: str) -> None:
    """Print a shipped recipe, to copy and change."""
    from avssl.config import recipe_path

    click.echo(recipe_path(name).read_text(encoding="utf-8"), nl=False)


def _head_command(name: str, distribution: str) -> click.Command:
    """The command of one head: its options come from `--set`, so that nothing is imported to show help."""
    options: list[Callable[..., Any]] = [
        click.option(
            "--encoders", required=True, type=click.Path(path_type=Path), help="Run folder, or its encoders folder."
        ),
        click.option("--data", help="A manifest.parquet or its folder."),
        click.option("--apply", "source", type=click.Path(path_type=Path), help="Apply the head to this file."),
        click.option("--to", "target", type=click.Path(path_type=Path), help="Where the result of --apply goes."),
        click.option("--out", type=click.Path(path_type=Path), help=f"Folder of results.  [default: ENCODERS/{name}]"),
        SET,
    ]

    def run(
        encoders: Path,
        data: str | None,
        source: Path | None,
        target: Path | None,
        out: Path | None,
        settings: tuple[str, ...],
    ) -> None:
        _run_head(name, encoders, data, source, target, out, settings)

    command = click.command(name=name, help=f"The head {name!r} of {distribution}.")(run)
    for option in reversed(options):
        command = option(command)
    return command


def _run_head(
    name: str,
    encoders: Path,
    data: str | None,
    source: Path | None,
    target: Path | None,
    out: Path | None,
    settings: Sequence[str],
) -> None:
    """Load a head and its encoders; fit it, or apply it to a file."""
    if (source is None) != (target is None):
        raise UserError("--apply and --to go together: the file to read and the file to make")
    kind = plugins.load(plugins.HEADS, name)
    from avssl.config import fill, keys
    from avssl.models.encoders import Encoders

    if data is not None and "manifest" not in keys(kind.Options):
        raise UserError(f"the head {name!r} reads no manifest: leave out --data {data}")
    given = {"manifest": data} if data is not None else {}
    head = kind(Encoders.from_pretrained(encoders), fill(kind.Options, given, _dotted(settings), where=name))
    if source is not None and target is not None:
        head.apply(source, target)
        return
    for key, value in _fitted(head, out or encoders / name).items():
        click.echo(f"{key:24} {value:.4f}")


def _fitted(head: Any, folder: Path) -> dict[str, float]:
    """Fit a head in a folder that is there; one made for it that stays empty is taken away again."""
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found: dict[str, float] = head.fit(folder)
        return found
    finally:
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _default_recipe(task: str) -> str:
    """`TASK/small` if avssl ships it, else none."""
    from avssl.config import shipped_recipes

    name = f"{task}/small"
    return name if name in shipped_recipes() else ""


def _dotted(settings: Sequence[str]) -> Any:
    """`a.b=1` strings as a nested config."""
    from omegaconf import OmegaConf

    made = OmegaConf.create()
    for setting in settings:
        if "=" not in setting:
            raise UserError(f"--set takes KEY=VALUE, not {setting!r}")
        try:
            made.merge_with_dotlist([setting])
        except Exception as error:  # YAML and OmegaConf have a dozen kinds
            raise UserError(f"--set {setting}: {' '.join(str(error).split())}") from error
    return made


def _line(error: ValueError | OSError) -> str:
    """One line that says what went wrong, and where."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())
