"""Convert errors of media-writing libraries to one line with the path."""

from __future__ import annotations

import errno
import os
import resource
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
        reason = _likely_reason(path.absolute().parent) or error.error_string
        raise OutputError(f"{path}: cannot be written: {reason}") from error


def _likely_reason(folder: Path) -> str:
    """Why a file in a folder cannot be written, as far as it shows; else nothing."""
    if folder.is_dir() and shutil.disk_usage(folder).free < FULL_DISK:
        return os.strerror(errno.ENOSPC)
    limited = resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
    return f"{os.strerror(errno.EFBIG)}, or another error, under a limit of file sizes (ulimit -f)" if limited else ""
