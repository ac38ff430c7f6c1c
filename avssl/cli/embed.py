"""`avssl embed`: embeddings of user media."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import click

from avssl.cli.encoders_option import DEFAULT_ENCODERS, ENCODERS_HELP, named_or_default
from avssl.cli.error_handling import UserError
from avssl.cli.examples import example
from avssl.cli.ray_option import RAY, cluster
from avssl.errors import InputError

PATH = click.Path(path_type=Path)
OWN = "[default: as the encoders were trained]"


@click.command(
    epilog=example(
        "avssl embed VIDEOS embeddings.parquet", "avssl embed VIDEOS embeddings.parquet --encoders runs/avsa-foa-iv"
    )
)
@click.argument("source", type=PATH)
@click.argument("out", type=PATH)
@click.option("--encoders", type=PATH, help=f"{ENCODERS_HELP}  [default: {DEFAULT_ENCODERS}]")
@click.option("--tower", default="both", show_default=True, type=click.Choice(["audio", "video", "both"]))
@click.option("--seconds", type=float, help=f"Length of a window, s.  {OWN}")
@click.option("--hop", type=float, help="Hop between windows, s.  [default: the length of a window]")
@click.option("--frames", type=int, help=f"Number of frames of a window.  {OWN}")
@click.option("--frame-rate", type=float, help=f"Frame rate, Hz.  {OWN}")
@click.option(
    "--resize", type=int, help="Shorter side of a frame after scaling, pixels; 0: not scaled.  [default: 8/7 of --size]"
)
@click.option("--size", type=int, help=f"Side of the centre crop, pixels; 0: the whole frame.  {OWN}")
@click.option(
    "--view", metavar="AZIMUTH,ELEVATION[,FOV]", help=f"Viewport of 360-degree frames, degrees.  {OWN[:-1]}: FOV]"
)
@click.option("--channels", default=0, show_default=True, help="Number of audio channels, from the first on; 0: all.")
@click.option(
    "--upmix", is_flag=True, help="Encode stereo as a first-order field (left and right at its sides), mono as its W."
)
@click.option("--precision", default="auto", show_default=True, help="Precision of the towers.")
@click.option("--workers", default=2, show_default=True, help="Loader processes.")
@RAY
def embed(
    source: Path, out: Path, encoders: Path | None, tower: str, view: str | None, ray: str | None, **options: Any
) -> None:
    """Write embeddings of all video and audio in SOURCE to OUT (.parquet or .npz), one row per window.

    SOURCE is a folder, a manifest.parquet or a file. Exit code 0: all files; 1: some files could not be read and are
    listed; 2: no file could be embedded.
    """
    from avssl.data.window_reader import TOWERS
    from avssl.embedding.embed_files import embed_files
    from avssl.embedding.window_options import WindowOptions
    from avssl.models.encoders import Encoders

    names = ("seconds", "hop", "frames", "frame_rate", "resize", "size", "channels", "upmix")
    windows = WindowOptions(
        **{name: options.pop(name) for name in names}, view=None if view is None else _radians(view)
    )
    towers = TOWERS if tower == "both" else (tower,)
    made = Encoders.from_pretrained(named_or_default(encoders))
    reading = windows.reading(made.geometry, towers)
    with cluster(ray, [source]):
        broken = embed_files(source, out, made, towers, reading, hop=windows.hop, **options)
    sys.exit(1 if broken else 0)


def _radians(view: str) -> tuple[float, float, float | None]:
    try:
        azimuth, elevation, *fov = (math.radians(float(each)) for each in view.split(","))
        if len(fov) > 1:
            raise InputError(view)
    except ValueError:
        text = f"--view takes AZIMUTH,ELEVATION or AZIMUTH,ELEVATION,FOV in degrees, such as 0,0,90, not {view!r}"
        raise UserError(text) from None
    return azimuth, elevation, fov[0] if fov else None
