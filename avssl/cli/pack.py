"""`avssl pack`: a prepared dataset as tar shards for ranged reads."""

from __future__ import annotations

from pathlib import Path

import click

from avssl.cli.examples import example

PATH = click.Path(path_type=Path)


@click.command(epilog=example("avssl pack DATA PACKED", "avssl pretrain --data s3://bucket/PACKED"))
@click.argument("source", type=PATH)
@click.argument("out", type=PATH)
@click.option("--shard-mb", default=256.0, show_default=True, help="Size from which on a new shard is begun, MB.")
def pack(source: Path, out: Path, shard_mb: float) -> None:
    """Pack the clips of the manifest in SOURCE into tar shards in OUT, for an object store or a slow file system.

    OUT is a dataset like SOURCE: `--data OUT`, or its address once it is copied to a store. A clip is read by one range
    of bytes, in any order, so that batches are the same as from SOURCE. The shards are in the form of WebDataset.
    """
    from avssl.datasets.pack_shards import pack as run

    click.echo(run(source, out, shard_mb=shard_mb))
