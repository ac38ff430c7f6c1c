"""Durations of media files, each measured once and cached."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import torch

from avssl.data.worker_loader import Batch, in_order
from avssl.embedding.cache_keys import VERSION, CacheKeys
from avssl.io.atomic import naming
from avssl.io.cache_folder import cache_folder, writable_cache
from avssl.io.jsonl_journal import MAX_JOURNAL
from avssl.io.progress import ProgressBar
from avssl.media.probe import check_length
from avssl.media.streams import AudioReader
from avssl.media.video_reader import VideoReader
from avssl.regular_files import check_regular, check_size

FILE = "durations.jsonl"


def cached_durations(
    paths: Sequence[Path], tower: str, *, folder: Path | None = None, workers: int = 2, title: str = ""
) -> list[float]:
    """Seconds of the audio (tower audio) or of the frames (tower video) of files.

    The last known duration of a file that is gone is used; the warning comes with its cached embeddings, without which
    a duration is of no effect.

    Args:
        paths: media.
        tower: audio or video.
        folder: of the cache; None: `embeddings` in the cache folder.
        workers: loader processes.
        title: of the progress bar.

    Raises:
        InputError: a file is broken, or has no such stream.
        FileNotFoundError: a file is gone, and its duration is not cached.
    """
    file = (folder or cache_folder() / "embeddings") / FILE
    known = _known(file)
    keys = CacheKeys(known)
    names = {path: keys.of(path, tower, str(VERSION)) for path in paths}
    keys.report_gone("durations", logging.INFO)
    wanted = {path: name for path, name in names.items() if name not in known}
    if wanted:
        own = writable_cache(file.parent) / file.name
        found = in_order(partial(_measured, tower=tower), list(wanted), workers)
        bar = ProgressBar(title or "durations", len(wanted), "files")
        with closing(found), bar, naming(own), own.open("a", encoding="utf-8") as log:
            for name, seconds in zip(wanted.values(), found, strict=True):
                known[name] = float(seconds["seconds"])
                log.write(json.dumps([name, known[name]]) + "\n")
                bar.advance()
    return [known[names[path]] for path in paths]


def media_duration(path: Path, tower: str, *, whole: bool = False) -> float:
    """Seconds of the audio (tower audio) or of the frames (tower video) of a file.

    Args:
        path: the file.
        tower: audio or video.
        whole: refuse a file that breaks off long before the end that its header states.

    Raises:
        InputError: it is broken, or has no such stream.
        FileNotFoundError: it is gone.
    """
    check_regular(path, tower)
    reader = VideoReader(path) if tower == "video" else AudioReader(path)
    seconds = reader.length()
    if whole:
        check_length(path, seconds, reader.seconds, reader.stated)
    return seconds


def _known(file: Path) -> dict[str, float]:
    known: dict[str, float] = {}
    if not file.exists():
        return known
    check_size(file, check_regular(file, "cached durations").st_size, "cached durations", MAX_JOURNAL)
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                name, seconds = json.loads(line)
                if not 0 <= float(seconds) < math.inf:
                    raise ValueError(seconds)
                known[str(name)] = float(seconds)
            except (ValueError, TypeError, RecursionError):
                continue  # cut short by a crash, or no duration: measured again
    return known


def _measured(path: Path, tower: str) -> Batch:
    return {"seconds": torch.tensor(media_duration(path, tower), dtype=torch.float64)}
