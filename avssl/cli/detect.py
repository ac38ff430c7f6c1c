"""`avssl detect` and `avssl train-detector`: find objects in the clips of a manifest, train a detector."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from avssl.cli.error_handling import UserError
from avssl.cli.examples import example
from avssl.cli.options import ConfigCommand, given_keys
from avssl.cli.overrides import SET, dotted
from avssl.cli.ray_option import RAY, cluster
from avssl.errors import one_line

logger = logging.getLogger(__name__)
PATH = click.Path(path_type=Path)


@click.command(
    epilog=example(
        "avssl detect DATA --model yolo11n.pt",
        "avssl detect VIDEOS --model yolo11n.pt",
        "avssl synth pseudo-binaural PAIRS --sources VIDEOS/sources-yolo11n-0ebbc80d.json",
    )
)
@click.argument("data", type=PATH)
@click.option(
    "--model", required=True, help="Path of a detector, torchvision/NAME:WEIGHTS, or truth of a synthetic dataset."
)
@click.option("--rate", default=2.0, show_default=True, help="Rate of detection, frames per second.")
@click.option(
    "--views", help="viewports or equirect: overlapping views, or whole frames alone.  [default: the model's]"
)
@click.option("--min-score", default=0.25, show_default=True, help="Score, 0 to 1, below which objects are dropped.")
@click.option(
    "--frames",
    type=click.Choice(["original", "proxy"]),
    help="Video to detect in: the recordings, or the proxies.  [default: original where all are there]",
)
@RAY
def detect(data: Path, model: str, ray: str | None, **options: Any) -> None:
    """Detect objects in the clips of the manifest in DATA, or in a folder of flat videos, and write them beside it.

    Of 360-degree clips, all objects in all directions (objects-MODEL.parquet). Of flat clips and videos, the object of
    each (sources-MODEL.json), a file for --sources of avssl synth: with its audio it is a source of synthetic scenes,
    such as pseudo-binaural pairs.

    MODEL is a .pt or .onnx file or an OpenVINO folder that ultralytics reads, or a folder of `avssl train-detector`.
    Nothing is downloaded. ultralytics (extra `detect`) is AGPL-3.0, and so are the weights that come from it.

    Exit code 0: all clips; 1: some could not be read and are listed; 2: no clip could be read.
    """
    sys.exit(1 if detected(data, model, ray, **options) else 0)


def detected(data: Path, model: str, ray: str | None = None, **options: Any) -> bool:
    """Detect objects, print the file's path, and report clips that cannot be read; whether there are any."""
    from avssl.detection.detect_objects import detect_objects
    from avssl.detection.ground_truth import TRUTH
    from avssl.synth.user_clips.detected_sources import is_flat

    failed: dict[str, Exception] = {}
    flat = model != TRUTH and is_flat(data)
    with cluster(None if model == TRUTH else ray, [data]):
        if flat:
            path = _detected_flat(data, model, failed, **options)
        else:
            path = detect_objects(data, model, **options, on_error=lambda row, error: failed.setdefault(row.key, error))
    click.echo(path)
    for key, error in failed.items():
        logger.error("%s", f"{key}: {one_line(error)}")
    return bool(failed)


def _detected_flat(data: Path, model: str, failed: dict[str, Exception], **options: Any) -> Path:
    from avssl.synth.user_clips.detected_sources import detect_sources

    if (views := options.pop("views", None)) is not None:
        raise UserError(f"{data}: expected 360-degree clips beside --views {views}, got flat ones; leave it out")
    return detect_sources(data, model, **options, on_error=lambda name, error: failed.setdefault(name, error))


def _detector_config() -> type:
    from avssl.detection.training.train_detector import DetectorConfig

    return DetectorConfig


@click.command(
    "train-detector",
    cls=ConfigCommand,
    config=_detector_config,
    epilog=example("avssl synth synth360 DATA --clips 500", "avssl train-detector DATA OUT --epochs 10"),
)
@click.argument("data", type=PATH)
@click.argument("out", type=PATH)
@click.option("--recipe", default="detect/synth360", show_default=True, help="Name of a shipped recipe or a path.")
@SET
@click.pass_context
def train_detector(context: click.Context, data: Path, out: Path, recipe: str, settings: tuple[str, ...]) -> None:
    """Train an object detector on the ground truth of the synthetic dataset DATA; OUT serves `avssl detect --model`.

    ultralytics (extra `detect`) trains it from random weights; its AGPL-3.0, its makers say, binds the network too.
    """
    from avssl.detection.training.train_detector import DetectorConfig
    from avssl.detection.training.train_detector import train_detector as run
    from avssl.recipe_files import resolve

    config = resolve(DetectorConfig, recipe, dotted([*settings, *given_keys(context)]), where=recipe)
    for key, value in run(data, out, config).items():
        click.echo(f"{key:24} {value:.4f}")
