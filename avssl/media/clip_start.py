"""Check that a clip begins before its video ends: readers of frames repeat the last one after it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from avssl.errors import InputError
from avssl.media.video_reader import VideoReader
from avssl.regular_files import check_regular


def check_clip_start(path: Path, start: float) -> None:
    """Check that a clip begins before its video ends; nothing is read for one that begins with its file.

    Args:
        path: the video.
        start: seconds from the file's beginning to the clip's.

    Raises:
        InputError: it begins at the end or after it, or the video cannot be read.
        OSError: the video cannot be opened.
    """
    if start <= 0:
        return
    status = check_regular(path, "a video")
    end = _end(path, status.st_size, status.st_mtime_ns)
    if start >= end:
        raise InputError(f"{path}: expected a clip that begins before the video ends at {end:.3f} s, got {start:.3f} s")


@lru_cache(maxsize=4096)
def _end(path: Path, size: int, changed: int) -> float:
    return VideoReader(path).length()
