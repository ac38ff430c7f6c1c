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
        raise _output_error(path, error.strerror or str(error), error.errno) from error
    except soundfile.LibsndfileError as error:
        number = _likely_reason(path.absolute().parent)
        raise _output_error(path, os.strerror(number) if number else error.error_string, number) from error


def _output_error(path: Path, reason: str, number: int | None) -> OutputError:
    error = OutputError(f"{path}: cannot be written: {reason}")
    error.errno = number
    return error


def _likely_reason(folder: Path) -> int | None:
    """Error number of why a file in a folder cannot be written, as far as it shows."""
    if folder.is_dir() and shutil.disk_usage(folder).free < FULL_DISK:
        return errno.ENOSPC
    return errno.EFBIG if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY else None
