"""`avssl energy-overlay`: energy map of ambisonic audio, drawn on 360-degree video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from avssl.cli.examples import example

PATH = click.Path(path_type=Path)


@click.command("energy-overlay", epilog=example("avssl energy-overlay concert-360.mp4 energy.mp4"))
@click.argument("video", type=PATH)
@click.argument("out", type=PATH)
@click.option("--audio", "field", type=PATH, help="File with first-order ambisonics, such as .wav.  [default: VIDEO]")
@click.option(
    "--channel-layout", "layout", default="auto", show_default=True, help="Channel layout: ambix, fuma, acn-n3d, wxy…"
)
@click.option("--frame-rate", default=10.0, show_default=True, help="Frame rate of the output, Hz.")
@click.option(
    "--height", default=448, show_default=True, help="Height of the output, pixels; the width is twice the height."
)
@click.option(
    "--panorama", "declared", is_flag=True, help="Treat the frames as equirectangular, whatever the header of VIDEO."
)
def energy_overlay(video: Path, out: Path, field: Path | None, **options: Any) -> None:
    """Draw the energy map of first-order audio on its 360-degree VIDEO, bright where it is loud; write OUT."""
    from avssl.media.energy_overlay import write_energy_video

    write_energy_video(out, video, field or video, **options)
    click.echo(out)
