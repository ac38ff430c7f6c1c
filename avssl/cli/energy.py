"""`avssl energy-overlay`: where it sounds, drawn on the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from avssl.cli.examples import example

PATH = click.Path(path_type=Path)


@click.command("energy-overlay", epilog=example("avssl energy-overlay concert-360.mp4 energy.mp4"))
@click.argument("video", type=PATH)
@click.argument("out", type=PATH)
@click.option("--sound", "field", type=PATH, help="File with the sound field, such as a .wav.  [default: VIDEO]")
@click.option(
    "--channel-layout", "layout", default="auto", show_default=True, help="Declare channels: ambix, fuma, acn-n3d, wxy…"
)
@click.option("--frame-rate", default=10.0, show_default=True, help="Pictures a second to draw.")
@click.option("--height", default=448, show_default=True, help="Rows of the pictures; twice as many columns.")
@click.option(
    "--panorama", "declared", is_flag=True, help="Pictures are equirectangular, though VIDEO does not say so."
)
def energy_overlay(video: Path, out: Path, field: Path | None, **options: Any) -> None:
    """Draw on a 360-degree VIDEO from where its first-order sound comes, bright where it is loud, as the film OUT."""
    from avssl.media.energy_overlay import write_energy_video

    write_energy_video(out, video, field or video, **options)
    click.echo(out)
