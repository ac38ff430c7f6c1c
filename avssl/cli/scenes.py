"""`avssl scenes`: made-up worlds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from avssl.cli.errors import Commands


@click.group(cls=Commands)
def scenes() -> None:
    """Render made-up worlds with known truth."""


def _of_any_world(command: Callable[..., None]) -> Callable[..., None]:
    """What is asked for whatever the world."""
    for option in (
        click.option("--workers", type=int, help="Processes.  [default: one a core]"),
        click.option("--sample-rate", default=24000, show_default=True, help="Samples a second, in Hz."),
        click.option("--frame-rate", default=16.0, show_default=True, help="Pictures a second."),
        click.option("--seed", default=0, show_default=True, help="Same seed, same world."),
        click.option("--seconds", default=4.0, show_default=True, help="Length of each scene."),
        click.option("--clips", default=500, show_default=True, help="Scenes to render."),
        click.argument("out", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


@scenes.command()
@_of_any_world
@click.option("--width", default=448, show_default=True, help="Columns of the frames; rows are half as many.")
def synth360(out: Path, clips: int, seconds: float, seed: int, **options: Any) -> None:
    """Sounding objects around a 360-degree camera: video, first-order ambisonics, and the truth per frame."""
    from avssl.scenes.synth360 import synth360 as render

    click.echo(render(out, clips, seconds, seed, **options))


@scenes.command()
@_of_any_world
@click.option("--width", default=224, show_default=True, help="Columns of the frames.")
@click.option("--height", default=128, show_default=True, help="Rows of the frames.")
@click.option("--fov", default=90.0, show_default=True, help="Horizontal field of view, degrees.")
@click.option("--hrirs", type=click.Path(path_type=Path), help="SOFA file, CIPIC or SADIE folder.  [default: a sphere]")
@click.option("--room/--no-room", default=True, show_default=True, help="Reflections, reverberation, background noise.")
def stage(out: Path, clips: int, seconds: float, seed: int, **options: Any) -> None:
    """Sounding objects in front of an ordinary camera, heard by two ears: video, binaural sound, and the truth."""
    from avssl.scenes.stage import stage as render

    click.echo(render(out, clips, seconds, seed, **options))
