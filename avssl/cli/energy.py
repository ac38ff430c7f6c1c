"""`avssl energy-overlay`: energy map of ambisonic audio, or a dense task's heat map, drawn on 360-degree video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from avssl.cli.error_handling import UserError
from avssl.cli.examples import example

PATH = click.Path(path_type=Path)


EXAMPLES = (
    "avssl energy-overlay concert-360.mp4 energy.mp4",
    "avssl energy-overlay concert-360.mp4 compared.mp4 --beside made=made.wav --beside prior=prior.wav",
    "avssl energy-overlay concert-360.mp4 sounding.mp4 --encoders runs/dense_avc-mono-logmel",
)


@click.command("energy-overlay", epilog=example(*EXAMPLES))
@click.argument("video", type=PATH)
@click.argument("out", type=PATH)
@click.option("--audio", "field", type=PATH, help="File with the audio, such as .wav.  [default: VIDEO]")
@click.option(
    "--encoders",
    "run",
    type=PATH,
    help="Run folder of dense_avc: draw its heat map, the similarity of audio and every part of the frames, instead "
    "of the energy; mono and stereo audio too, with mono-logmel.",
)
@click.option(
    "--channel-layout", "layout", default="auto", show_default=True, help="Channel layout: ambix, fuma, acn-n3d, wxy…"
)
@click.option(
    "--beside",
    multiple=True,
    metavar="LABEL=FILE",
    help="A further sound field of the same film, such as one that a generator made, drawn beside the first with its "
    "label; may be repeated.",
)
@click.option("--label", default="recorded", show_default=True, help="Label of the first sound field, with --beside.")
@click.option("--frame-rate", default=10.0, show_default=True, help="Frame rate of the output, Hz.")
@click.option(
    "--height", default=448, show_default=True, help="Height of the output, pixels; the width is twice the height."
)
@click.option(
    "--panorama", "declared", is_flag=True, help="Treat the frames as equirectangular, whatever the header of VIDEO."
)
def energy_overlay(
    video: Path, out: Path, field: Path | None, run: Path | None, beside: tuple[str, ...], label: str, **options: Any
) -> None:
    """Draw the energy map of first-order audio on its 360-degree VIDEO, bright where it is loud; write OUT."""
    others = _labelled(beside)
    if run is not None and others:
        raise UserError("--beside draws energy: leave out --encoders, or leave out --beside")
    if run is None:
        from avssl.media.energy_overlay import write_energy_video

        write_energy_video(out, video, field or video, beside=others, label=label, **options)
    else:
        from avssl.embedding.heat_map_overlay import write_heat_map_video

        write_heat_map_video(out, video, field or video, run, **options)
    click.echo(out)


def _labelled(pairs: tuple[str, ...]) -> dict[str, Path]:
    """Label -> file of `LABEL=FILE`."""
    found: dict[str, Path] = {}
    for pair in pairs:
        label, equals, file = pair.partition("=")
        if not (label and equals and file) or label in found:
            raise UserError(f"--beside: expected LABEL=FILE, each label once, got {pair!r}")
        found[label] = Path(file)
    return found
