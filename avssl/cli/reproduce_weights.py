"""`avssl reproduce weights`: the encoders that come with avssl."""

from __future__ import annotations

from pathlib import Path

import click

from avssl.cli.examples import example

PATH = click.Path(path_type=Path)


@click.command(epilog=example("avssl reproduce weights --out avssl/weights/avsa_foa_iv_small"))
@click.option("--name", default="avsa-foa-iv-small", show_default=True, help="Encoders of `avssl list`.")
@click.option("--out", type=PATH, required=True, help="Folder of the encoders.")
@click.option("--runs", type=PATH, default=Path("runs/weights"), show_default=True, help="Folder of the run.")
@click.option(
    "--real-clips", type=PATH, help="Folder of `avssl reproduce real-clips --encoders RUNS/NAME`, for the model card."
)
@click.option("--dry-run", is_flag=True, help="Print the run and about how long it takes; write nothing.")
def weights(name: str, out: Path, runs: Path, real_clips: Path | None, dry_run: bool) -> None:
    """Make the encoders that come with avssl: train, store in half precision, measure, write the model card."""
    from avssl.reproduce.make_table import make_runs
    from avssl.reproduce.shipped_weights import ShippedWeights

    made = ShippedWeights(name, runs, real_clips)
    plan = make_runs("weights", [made.run], dry_run=dry_run)
    if dry_run:
        click.echo(plan)
        return
    for title, text in made.write(out).items():
        click.echo(f"{title}: {text}")
