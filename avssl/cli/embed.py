"""`avssl embed`: embeddings of one's own media."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import click

from avssl.cli.errors import UserError
from avssl.cli.examples import example

PATH = click.Path(path_type=Path)


@click.command(epilog=example("avssl embed VIDEOS embeddings.parquet --encoders runs/avsa-foa-iv"))
@click.argument("source", type=PATH)
@click.argument("out", type=PATH)
@click.option("--encoders", required=True, type=PATH, help="Run folder, or its encoders folder.")
@click.option("--tower", default="both", show_default=True, type=click.Choice(["audio", "video", "both"]))
@click.option("--seconds", default=1.0, show_default=True, help="Sound of a window.")
@click.option("--hop", default=1.0, show_default=True, help="Seconds from one window to the next.")
@click.option("--frames", default=8, show_default=True, help="Pictures of a window.")
@click.option("--frame-rate", default=16.0, show_default=True, help="Pictures a second.")
@click.option(
    "--resize", default=128, show_default=True, help="Pixels that the shorter side is scaled to; 0: as it is."
)
@click.option("--size", default=112, show_default=True, help="Side of the square cut from the middle; 0: all is seen.")
@click.option("--view", metavar="AZIMUTH,ELEVATION,FOV", help="What is seen of 360-degree pictures, in degrees.")
@click.option("--channels", default=0, show_default=True, help="First so many of the sound's channels; 0: all.")
@click.option("--upmix", is_flag=True, help="Take stereo for the sides of a first-order field, mono for its W.")
@click.option("--precision", default="bf16-mixed", show_default=True, help="In which the towers run.")
@click.option("--workers", default=2, show_default=True, help="Processes that read.")
def embed(source: Path, out: Path, encoders: Path, tower: str, view: str | None, **options: Any) -> None:
    """Embeddings of all video and sound in SOURCE, a window a row, in OUT: .parquet or .npz.

    SOURCE is a folder, a manifest.parquet or a file. Exit code 0: all done; 1: some files could not be read, they are
    listed; 2: nothing could be begun.
    """
    from avssl.data.window_reader import TOWERS, Reading
    from avssl.embedding.embed_files import embed_files
    from avssl.models.encoders import Encoders

    names = ("seconds", "frames", "frame_rate", "resize", "size", "channels", "upmix")
    reading = Reading(**{name: options.pop(name) for name in names}, view=None if view is None else _radians(view))
    towers = TOWERS if tower == "both" else (tower,)
    made = Encoders.from_pretrained(encoders)
    broken = embed_files(source, out, made, towers, reading, **options, say=lambda line: click.echo(line, err=True))
    sys.exit(1 if broken else 0)


def _radians(view: str) -> tuple[float, float, float]:
    try:
        azimuth, elevation, fov = (math.radians(float(each)) for each in view.split(","))
    except ValueError:
        raise UserError(f"--view takes AZIMUTH,ELEVATION,FOV in degrees, such as 0,0,90, not {view!r}") from None
    return azimuth, elevation, fov
