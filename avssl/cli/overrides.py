"""`--set KEY=VALUE`, which changes any key of a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from avssl.cli.error_handling import UserError

SET = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one key, such as optim.lr=1e-4."
)


def dotted(settings: Sequence[str]) -> Any:
    """`a.b=1` strings as a nested config."""
    from omegaconf import OmegaConf

    made = OmegaConf.create()
    for setting in settings:
        if "=" not in setting:
            raise UserError(f"--set takes KEY=VALUE, not {setting!r}")
        # Nothing behind the sign is an empty text, not the null that YAML makes of it.
        whole = f'{setting}""' if setting.partition("=")[2] == "" else setting
        try:
            made.merge_with_dotlist([whole])
        except Exception as error:  # YAML and OmegaConf have a dozen kinds
            raise UserError(f"--set {setting}: {' '.join(str(error).split())}") from error
    return made
