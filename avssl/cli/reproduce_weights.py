"""`avssl reproduce weights`: the encoders and the fitted heads that come with avssl."""

from __future__ import annotations

from pathlib import Path

import click

from avssl.cli.error_handling import UserError
from avssl.cli.examples import example

PATH = click.Path(path_type=Path)
EXAMPLES = (
    "avssl reproduce weights --out avssl/weights/avsa_foa_iv_small",
    "avssl reproduce weights --name foa360-small --out avssl/weights/foa360_small",
    "avssl reproduce weights --name foa360-small --head runs/foa360 --out avssl/weights/foa360_small",
)


@click.command(epilog=example(*EXAMPLES))
@click.option("--name", default="avsa-foa-iv-small", show_default=True, help="Encoders or fitted head of avssl.")
@click.option("--out", type=PATH, required=True, help="Folder of the package.")
@click.option("--runs", type=PATH, default=Path("runs/weights"), show_default=True, help="Folder of the run.")
@click.option("--head", type=PATH, help="Folder of a head that is fitted already; no run is made.")
@click.option(
    "--real-clips",
    type=PATH,
    help="Folder of `avssl reproduce real-clips` (encoders) or `generator-clips` (heads), for the model card.",
)
@click.option("--dry-run", is_flag=True, help="Print the run and about how long it takes; write nothing.")
def weights(name: str, out: Path, runs: Path, head: Path | None, real_clips: Path | None, dry_run: bool) -> None:
    """Make weights that come with avssl: train, store in half precision, measure, write the model card."""
    from avssl.io.folder_lock import folder_lock
    from avssl.reproduce.make_table import make_runs
    from avssl.reproduce.planned_run import PlannedRun
    from avssl.reproduce.shipped_heads import HEAD_RECIPES, ShippedHead
    from avssl.reproduce.shipped_weights import RECIPES, ShippedWeights

    made: ShippedHead | ShippedWeights
    planned: list[PlannedRun]
    if name in HEAD_RECIPES:
        made = ShippedHead(name, runs, head, real_clips)
        planned = [*made.planned()]
    elif head is not None:
        raise UserError(f"--head: expected it beside --name {' or '.join(HEAD_RECIPES)}, got --name {name}")
    elif name in RECIPES:
        made = ShippedWeights(name, runs, real_clips)
        planned = [made.run]
    else:
        raise UserError(f"expected a name of {', '.join([*RECIPES, *HEAD_RECIPES])}, got {name!r}")
    plan = make_runs("weights", planned, dry_run=dry_run) if planned else f"{name}: fitted already, no run to make"
    if dry_run:
        click.echo(plan)
        return
    with folder_lock(out):
        numbers = made.write(out)
    for title, text in numbers.items():
        click.echo(f"{title}: {text}")
