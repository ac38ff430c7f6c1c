"""The option `--ray` of commands that work through many files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

RAY = click.option(
    "--ray",
    metavar="ADDRESS",
    help="Work on a Ray cluster: auto (this machine's), HOST:PORT, ray://HOST:PORT, or local (one for this command). "
    "Every node sees the folders under the same path; extra `ray`.",
)


def cluster(address: str | None, reads: Sequence[Path] = (), out: Path | None = None) -> AbstractContextManager[None]:
    """Context in which jobs are done at the address of `--ray`; without one, by processes of this machine.

    Args:
        address: value of the option.
        reads: folders and files that jobs read.
        out: folder that jobs write to; None: they write nothing.
    """
    if address is None:
        return nullcontext()
    from avssl.io.ray_pool import on_ray

    return on_ray(address, reads, out)
