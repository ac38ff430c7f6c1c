"""`avssl synth`: synthetic datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from avssl.cli.errors import Commands
from avssl.cli.examples import example


@click.group(cls=Commands, epilog=example("avssl synth synth360 OUT --clips 500 --seed 0"))
def synth() -> None:
    """Render a synthetic dataset with ground truth."""


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


@synth.command()
@_of_any_world
@click.option("--width", default=448, show_default=True, help="Columns of the frames; rows are half as many.")
@click.option("--order", default=1, show_default=True, help="Ambisonic order of the sound, 1 to 4.")
def synth360(out: Path, clips: int, seconds: float, seed: int, **options: Any) -> None:
    """Sounding objects around a 360-degree camera: video, ambisonics, and the truth per frame."""
    from avssl.synth.synth360 import synth360 as render

    click.echo(render(out, clips, seconds, seed, **options))


@synth.command()
@_of_any_world
@click.option("--width", default=224, show_default=True, help="Columns of the frames.")
@click.option("--height", default=128, show_default=True, help="Rows of the frames.")
@click.option("--fov", default=90.0, show_default=True, help="Horizontal field of view, degrees.")
@click.option("--hrirs", type=click.Path(path_type=Path), help="SOFA file, CIPIC or SADIE folder.  [default: a sphere]")
@click.option("--room/--no-room", default=True, show_default=True, help="Reflections, reverberation, background noise.")
def stage(out: Path, clips: int, seconds: float, seed: int, **options: Any) -> None:
    """Sounding objects in front of an ordinary camera, heard by two ears: video, binaural sound, and the truth."""
    from avssl.synth.stage.stage_dataset import stage as render

    click.echo(render(out, clips, seconds, seed, **options))


def _of_sources(cut_rate: float) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What is asked for where sources may be a user's own."""

    def options(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option(
                "--cut-rate", default=cut_rate, show_default=True, help="Pictures a second that are cut out of clips."
            ),
            click.option(
                "--segmenter",
                default="",
                metavar="MODEL",
                help="What cuts sources out of clips: torchvision/maskrcnn_resnet50_fpn:WEIGHTS, or a .pt, .onnx or "
                "OpenVINO model of ultralytics.  [default: their boxes]",
            ),
            click.option(
                "--sources",
                type=click.Path(path_type=Path),
                help="Clips to take the sources from: annotations in JSON, or a folder of LABEL/clip.mp4.  "
                "[default: built-in objects]",
            ),
        ):
            command = option(command)
        return command

    return options


@synth.command()
@_of_any_world
@_of_sources(cut_rate=4.0)
@click.option("--width", default=320, show_default=True, help="Columns of the frames.")
@click.option("--height", default=180, show_default=True, help="Rows of the frames.")
@click.option(
    "--type",
    default="mixed",
    show_default=True,
    type=click.Choice(["P1", "P2", "P3", "P4", "mixed"]),
    help="P1: one source; P2: several kinds; P3: several of one kind; P4: before a background, with ambient sound and "
    "somebody silent in the way.",
)
@click.option(
    "--fraction", default=0.25, show_default=True, help="Share of a walk's places drawn; others interpolated."
)
@click.option("--step", default=0.25, show_default=True, help="Largest step between drawn places, in half canvases.")
@click.option("--deviation", default=0.2, show_default=True, help="How far beyond the frame, in half canvases.")
def mono3d(out: Path, clips: int, seconds: float, seed: int, **options: Any) -> None:
    """Cut-outs on random walks in three dimensions: flat video, first-order ambisonics, and the truth per frame."""
    from avssl.synth.mono3d.mono3d_dataset import mono3d as render

    click.echo(render(out, clips, seconds, seed, **options))


@synth.command("pseudo-binaural")
@_of_any_world
@_of_sources(cut_rate=10.0)
@click.option("--width", default=640, show_default=True, help="Columns of the frames.")
@click.option("--height", default=360, show_default=True, help="Rows of the frames.")
@click.option("--fov", default=120.0, show_default=True, help="Degrees of azimuth that the frame is wide.")
@click.option(
    "--way",
    default="ambisonic",
    show_default=True,
    type=click.Choice(["ambisonic", "direct", "ambidirect"]),
    help="To two ears: by way of eight loudspeakers, by each source's own direction, or by two cardioids.",
)
@click.option("--hrirs", type=click.Path(path_type=Path), help="SOFA file, CIPIC or SADIE folder.  [default: a sphere]")
@click.option("--background", default="blank", show_default=True, help="blank, drawn, a picture, or a folder of them.")
@click.option(
    "--blend",
    default="poisson",
    show_default=True,
    type=click.Choice(["poisson", "paste"]),
    help="How patches are put on a background that is not blank.",
)
@click.option("--size-by-loudness", is_flag=True, help="The louder a recording is, the smaller is its patch.")
@click.option("--one-level/--own-levels", default=True, show_default=True, help="Whether all are equally loud.")
def pseudo_binaural(out: Path, clips: int, seconds: float, seed: int, **options: Any) -> None:
    """Patches of mono sources side by side, each heard from where it is seen: video, binaural sound, and the truth."""
    from avssl.synth.pseudo_binaural.pseudo_binaural_dataset import pseudo_binaural as render

    click.echo(render(out, clips, seconds, seed, **options))


@synth.command()
@click.option("--workers", type=int, help="Processes.  [default: one a core]")
@click.option("--classes", default="", metavar="A,B,...", help="Which classes.  [default: all]")
@click.option("--sample-rate", default=48000, show_default=True, help="Samples a second, in Hz.")
@click.option("--order", default=4, show_default=True, help="Of the ambisonics of eigenscape; 4 has 25 channels.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same recordings.")
@click.option("--seconds", type=float, help="Length of each recording.  [default: 60; of tau 10]")
@click.option("--recordings", default=8, show_default=True, help="Of each class; of tau: places, with two clips each.")
@click.option("--layout", default="eigenscape", show_default=True, type=click.Choice(["eigenscape", "tau"]))
@click.argument("out", type=click.Path(path_type=Path))
def ambience(out: Path, classes: str, **options: Any) -> None:
    """Places that differ in what sounds, from where and how it moves: in the files of EigenScape or TAU."""
    from avssl.synth.soundscape.soundscape_dataset import ambience as render

    click.echo(render(out, classes=[each for each in classes.split(",") if each], **options))


@synth.command()
@click.option("--layout", default="ucf101", show_default=True, type=click.Choice(["ucf101", "hmdb51"]))
@click.option("--classes", default=8, show_default=True, help="Kinds of motion, in pairs, up to 16.")
@click.option("--groups", default=25, show_default=True, help="Sets of objects and backgrounds; none is in two splits.")
@click.option("--clips", default=4, show_default=True, help="Of each class in each group.")
@click.option("--seconds", default=3.0, show_default=True, help="Length of each clip.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same world.")
@click.option("--width", default=320, show_default=True, help="Columns of the frames.")
@click.option("--height", default=240, show_default=True, help="Rows of the frames.")
@click.option("--frame-rate", default=25.0, show_default=True, help="Pictures a second.")
@click.option("--workers", type=int, help="Processes.  [default: one a core]")
@click.argument("out", type=click.Path(path_type=Path))
def actions(out: Path, **options: Any) -> None:
    """Motions that no single picture tells apart: video in the files and lists of UCF101 or HMDB51."""
    from avssl.synth.actions.actions_dataset import actions as render

    click.echo(render(out, **options))
