"""Download the videos of a list through yt-dlp: the right formats, restartable, at a polite rate, with a report."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avssl.config import check_range
from avssl.datasets.download_formats import Format, NoFormatError, choose_formats
from avssl.datasets.download_lists import KINDS, read_ids
from avssl.datasets.download_report import DONE, LATER, DownloadReport, status_of
from avssl.errors import InputError, first_line
from avssl.io.folder_lock import folder_lock
from avssl.io.jsonl_journal import Entry, JsonlJournal
from avssl.io.progress import ProgressBar
from avssl.media.streams import AudioReader
from avssl.media.video_reader import VideoReader
from avssl.plugins import hint

logger = logging.getLogger(__name__)
JOURNAL = "downloads.jsonl"
SITE = "https://www.youtube.com/watch?v={id}"
PART = "avssl_part"
"""Field of yt-dlp's formats that names the file: video or audio."""
_NAME = f"%(id)s.%({PART})s.f%(format_id)s.%(ext)s"
"""File names of the layout `rec-street`, as downloaded."""


@dataclass(frozen=True)
class DownloadOptions:
    """Manners and formats of a download."""

    max_height: int = 1080
    """Pixels; the highest video up to it."""
    sleep: float = 5.0
    """Seconds before each video; at random up to twice as many."""
    sleep_requests: float = 1.0
    """Seconds between requests for one video."""
    limit_rate: float = 0.0
    """Bytes per second at most; 0: no limit."""
    url: str = SITE
    """Address of a video, with {id}."""
    cookies: str = ""
    """File of cookies in Netscape's form; empty: none."""
    retry: bool = False
    """Try videos again that an earlier run found gone."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_range("download", "max_height", self.max_height, 1, 1 << 16)
        for name in ("sleep", "sleep_requests", "limit_rate"):
            check_range("download", name, getattr(self, name), 0.0, 1e9)
        if self.url.count("{id}") != 1 or not self.url.startswith(("http://", "https://")):
            raise InputError(f"--url: expected an address http(s)://... with {{id}} once, got {self.url!r}")
        if self.cookies and not Path(self.cookies).is_file():
            raise InputError(f"--cookies: expected a file of cookies, there is none at {self.cookies}")


def download(
    kind: str, listed: Path, out: Path, options: DownloadOptions | None = None, *, progress: bool = True
) -> DownloadReport:
    """Download the videos of a list, video and audio in a file each; `prepare --layout rec-street` reads the folder.

    What an earlier run downloaded stays, and a file that was cut short is continued.

    Args:
        kind: form of the list, one of `avssl.datasets.download_lists.KINDS`.
        listed: the list; copied into `out`, where layouts look for splits.
        out: output folder; for one kind and address.
        options: manners and formats; None: the defaults.
        progress: show a bar, or log lines where standard error is no terminal.

    Returns:
        Downloaded and missing videos.

    Raises:
        InputError: an unknown kind, a list of another form, or `out` belongs to another kind or address.
        OSError: `out` cannot be written.
    """
    options = options or DownloadOptions()
    if kind not in KINDS:
        raise InputError(f"unknown list {kind!r}{hint(kind, KINDS)}; {', '.join(KINDS)}")
    ids = read_ids(listed, kind)
    settings, advice = {"kind": kind, "url": options.url}, "give another folder"
    with folder_lock(out), JsonlJournal(out / JOURNAL, settings, _parsed, advice=advice) as journal:
        _copy_list(listed, out)
        report = _run(ids, KINDS[kind].spatial, journal, options, progress)
        report.write()
    return report


def _copy_list(listed: Path, out: Path) -> None:
    target = out / listed.name
    if not target.exists() or not target.samefile(listed):
        shutil.copyfile(listed, target)


def _parsed(entry: Entry) -> Entry:
    """The fields of an entry.

    Raises:
        LookupError: one is missing.
        ValueError: a file name that leads out of the folder.
    """
    for name in entry["files"]:
        if Path(name).name != name:
            raise ValueError(name)
    return {name: entry[name] for name in ("key", "status", "reason", "files", "audio", "projection")}


def _run(
    ids: list[str], spatial: bool, journal: JsonlJournal, options: DownloadOptions, progress: bool
) -> DownloadReport:
    out = journal.path.parent
    left = [each for each in ids if not _is_settled(journal.entries.get(each), out, options.retry)]
    numbers = ("{missing} missing", "{megabytes:.1f} MB")
    new = missing = 0
    with ProgressBar("download", len(left), "videos", numbers=numbers, shown=progress) as bar:
        for each in left:

            def show(state: Mapping[str, Any], missing: int = missing) -> None:
                bar.advance(0, missing=missing, megabytes=(state.get("downloaded_bytes") or 0) / 1e6)

            entry = _downloaded(each, spatial, out, options, show, first=each == left[0])
            journal.add(entry)
            new, missing = new + (entry["status"] == DONE), missing + (entry["status"] != DONE)
            bar.advance(missing=missing, megabytes=0.0)
            if entry["status"] == "rate limited":
                logger.warning("the site asks for fewer requests: stopped at %s; run the command again later", each)
                break
    waiting = {"status": "not tried", "reason": "", "files": {}, "audio": "", "projection": ""}
    return DownloadReport(out, {each: journal.entries.get(each, {"key": each} | waiting) for each in ids}, new)


def _is_settled(entry: Entry | None, out: Path, retry: bool) -> bool:
    """Whether a video is there whole, or gone for good."""
    if entry is None or (entry["status"] != DONE and (retry or entry["status"] in LATER)):
        return False
    files = entry["files"].items()
    return all((out / name).is_file() and (out / name).stat().st_size == size for name, size in files)


def _downloaded(
    identity: str,
    spatial: bool,
    out: Path,
    options: DownloadOptions,
    show: Callable[[Mapping[str, Any]], None],
    *,
    first: bool,
) -> Entry:
    """Journal entry of a video, downloaded or not."""
    empty = {"key": identity, "files": {}, "audio": "", "projection": ""}
    try:
        paths = _fetch(identity, spatial, out, options, show, first=first)
        return _described(identity, paths)
    except NoFormatError as error:
        return empty | {"status": "no format", "reason": str(error)}
    except InputError as error:
        for path in out.glob(f"{identity}.*"):  # downloaded again by the next run
            path.unlink()
        return empty | {"status": "broken", "reason": first_line(error)}
    except _site_error() as error:
        reason = first_line(error).removeprefix("ERROR: ") or f"incomplete download ({type(error).__name__})"
        return empty | {"status": status_of(reason), "reason": reason}


def _site_error() -> type[Exception]:
    from yt_dlp.utils import YoutubeDLError

    return YoutubeDLError  # type: ignore[no-any-return]


def _fetch(
    identity: str,
    spatial: bool,
    out: Path,
    options: DownloadOptions,
    show: Callable[[Mapping[str, Any]], None],
    *,
    first: bool,
) -> list[Path]:
    """Paths of the video and the audio file."""
    from yt_dlp import YoutubeDL

    def select(context: Mapping[str, Any]) -> list[Format]:
        video, audio = choose_formats(context["formats"], spatial, options.max_height)
        return [{**video, PART: "video"}, {**audio, PART: "audio"}]

    wait = 0.0 if first else options.sleep
    wanted = {
        "format": select,
        "outtmpl": {"default": _NAME},
        "paths": {"home": str(out)},
        "logger": _Log(),
        "noprogress": True,
        "progress_hooks": [show],
        "retries": 3,
        "extractor_retries": 1,
        "fixup": "never",
        "sleep_interval": wait,
        "max_sleep_interval": 2 * wait,
        "sleep_interval_requests": options.sleep_requests,
        "ratelimit": options.limit_rate or None,
        "cookiefile": options.cookies or None,
        "js_runtimes": {"deno": {}, "node": {}},
    }
    with YoutubeDL(wanted) as site:
        info = site.extract_info(options.url.format(id=identity), download=True)
    return [Path(each["filepath"]) for each in info["requested_downloads"]]


def _described(identity: str, paths: list[Path]) -> Entry:
    """Entry of a downloaded video: sizes, sound and projection by the files themselves.

    Raises:
        InputError: a file cannot be read.
    """
    video, audio = VideoReader(paths[0]), AudioReader(paths[1])
    return {
        "key": identity,
        "status": DONE,
        "reason": "",
        "files": {path.name: path.stat().st_size for path in paths},
        "audio": f"{audio.channels}-channel {audio.codec}",
        "projection": video.projection or "undeclared",
    }


class _Log:
    """Messages of yt-dlp, for debugging; errors come as exceptions."""

    def debug(self, message: str) -> None:
        """Log a message."""
        logger.debug("%s", message)

    info = warning = error = debug
