"""Convert errors of media-writing libraries to one line with the path."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile
from av.error import FFmpegError

from avssl.errors import OutputError

FULL_DISK = 1 << 16
"""Free bytes below which a disk counts as full; libsndfile only reports "System error"."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of FFmpeg and libsndfile into one line that names the file.

    Args:
        path: the file that the body writes.

    Raises:
        OSError: it cannot be written.
    """
    try:
        yield
    except FFmpegError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    except soundfile.LibsndfileError as error:
        reason = "No space left on device" if _is_full(path.absolute().parent) else error.error_string
        raise OutputError(f"{path}: cannot be written: {reason}") from error


def _is_full(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).free < FULL_DISK
