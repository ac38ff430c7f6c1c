"""`avssl detect` and `avssl detector`: objects in the clips of a manifest, and what finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from avssl.cli.settings import SET, dotted

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("data", type=PATH)
@click.option(
    "--model", required=True, help="A detector's path, torchvision/NAME:WEIGHTS, or truth of a rendered world."
)
@click.option("--rate", default=2.0, show_default=True, help="Frames looked at a second.")
@click.option(
    "--views", help="viewports or equirect: overlapping views, or whole frames alone.  [default: the model's]"
)
@click.option("--least-score", default=0.25, show_default=True, help="Objects of a lower score are left out.")
@click.option(
    "--frames",
    help="original or proxy: the video to detect in.  [default: original where all are there]",
)
def detect(data: Path, model: str, **options: Any) -> None:
    """Look for objects in the 360-degree clips of the manifest in DATA, and keep them beside it.

    MODEL is a .pt or .onnx file or an OpenVINO folder that ultralytics reads, or a folder of `avssl detector`. Nothing
    is downloaded. ultralytics (extra `detect`) is AGPL-3.0, and so are the weights that come from it.
    """
    from avssl.data.detect import detect as run

    click.echo(run(data, model, **options))


@click.command()
@click.argument("world", type=PATH)
@click.argument("out", type=PATH)
@click.option("--recipe", default="detect/synth360", show_default=True, help="Name of a shipped recipe or a path.")
@SET
def detector(world: Path, out: Path, recipe: str, settings: tuple[str, ...]) -> None:
    """Train a detector on the truth of a rendered WORLD; the folder OUT is then a MODEL of `avssl detect`.

    ultralytics (extra `detect`) trains it from random weights; its AGPL-3.0, its makers say, binds the network too.
    """
    from avssl.train.detector import configured, train_detector

    for key, value in train_detector(world, out, configured(recipe, dotted(settings))).items():
        click.echo(f"{key:24} {value:.4f}")
