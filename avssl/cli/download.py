"""`avssl download`: the videos of a data set's list."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from avssl.cli.error_handling import UserError
from avssl.cli.examples import example

PATH = click.Path(path_type=Path)
KINDS = ("yt360", "sphere360", "rec-street", "youtube-asmr", "music", "ids")


@click.command(
    epilog=example(
        "avssl download yt360 train.txt YT360",
        "avssl download ids mine.txt VIDEOS --max-height 2160 --sleep 20",
        "avssl prepare VIDEOS DATA --layout rec-street",
    )
)
@click.argument("kind", type=click.Choice(KINDS), metavar="|".join(KINDS))
@click.argument("listed", type=PATH, metavar="LIST")
@click.argument("out", type=PATH)
@click.option("--max-height", default=1080, show_default=True, help="Height of the video at most, pixels.")
@click.option(
    "--sleep", default=5.0, show_default=True, help="Seconds before each video; at random up to twice as many."
)
@click.option("--sleep-requests", default=1.0, show_default=True, help="Seconds between requests for one video.")
@click.option("--limit-rate", default=0.0, show_default=True, help="Bytes per second at most; 0: no limit.")
@click.option("--cookies", default="", metavar="FILE", help="Cookies in Netscape's form, for videos with an age limit.")
@click.option("--retry", is_flag=True, help="Try videos again that an earlier run found gone.")
@click.option(
    "--url", default="https://www.youtube.com/watch?v={id}", show_default=True, help="Address of a video, with {id}."
)
def download(kind: str, listed: Path, out: Path, **options: Any) -> None:
    """Download the videos of LIST, the list of a data set on YouTube, to OUT with yt-dlp.

    Video and audio are a file each: 4-channel Opus or Vorbis, else six-channel AAC; equirectangular frames before
    EAC. The same command continues, and leaves out what is gone. Exit code 0: all videos are there; 1: some are not,
    see OUT/missing.csv; 2: none.
    """
    if find_spec("yt_dlp") is None:
        raise UserError("avssl download: expected yt-dlp; install it with pip install 'avssl[download]'")
    from avssl.datasets.download_videos import DownloadOptions
    from avssl.datasets.download_videos import download as run

    report = run(kind, listed, out, DownloadOptions(**options))
    click.echo(report.text())
    sys.exit(0 if not report.missing else 1 if report.done else 2)
