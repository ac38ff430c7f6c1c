"""`avssl push`: encoders to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

import click

from avssl.cli.error_handling import UserError
from avssl.cli.examples import example


@click.command(epilog=example("avssl push runs/avsa-foa-iv hf://USER/avsa-foa-iv"))
@click.argument("encoders", type=click.Path(path_type=Path))
@click.argument("repository")
@click.option("--private", is_flag=True, help="Make a private repository, if it is new.")
def push(encoders: Path, repository: str, private: bool) -> None:
    """Upload ENCODERS with their model card to REPOSITORY, hf://USER/NAME[@BRANCH], of the Hugging Face Hub.

    The token is that of `hf auth login` or of HF_TOKEN. `--encoders hf://USER/NAME` downloads them.
    """
    from avssl.models import hub
    from avssl.models.encoder_io import find_folder
    from avssl.models.encoders import Encoders

    target = hub.repository_of(repository)
    if target is None:
        raise UserError(f"expected REPOSITORY as hf://USER/NAME, got {repository!r}")
    folder = find_folder(encoders)
    Encoders.from_pretrained(folder)  # broken ones are not uploaded
    click.echo(hub.push(folder, target, private=private))
