"""Regular files that a user names: never waited for, read up to a bound.

Opening a named pipe waits for a writer, and reading a device may never end: both are refused, behind links too.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from avssl.errors import InputError, MissingFileError
from avssl.printable_text import utf8_text
from avssl.stores.virtual_files import open_virtual, virtual_status
from avssl.stores.virtual_paths import is_virtual

MIB = 2**20
MAX_TEXT = 16 * MIB
"""Bytes of a text file that is read whole; configs have a thousandth of it."""
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def is_regular(path: Path) -> bool:
    """Whether a regular file is there, or a link to one; False for names that no file can have."""
    try:
        return path.is_file() or (is_virtual(path) and bool(virtual_status(path)))
    except MissingFileError:
        return False
    except InputError:  # a store that refuses: what it says is worth more than "no such file"
        raise
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def file_status(path: Path) -> os.stat_result:
    """Status of a path, also of an object of a store or a member of a shard.

    Raises:
        OSError: nothing is there, or it cannot be reached.
        InputError: the store refuses or fails.
    """
    return virtual_status(path) if is_virtual(path) else path.stat()


def check_regular(path: Path, expected: str) -> os.stat_result:
    """Check that a path is a regular file, for libraries that open paths themselves.

    Args:
        path: the file, or a link to it; or an object of a store or a member of a shard, see `virtual_paths`.
        expected: content, such as `a manifest`, for the error.

    Returns:
        Status of the file.

    Raises:
        MissingFileError: nothing is there, a link that leads to nothing, or a folder.
        InputError: a named pipe, socket or device is there.
        OSError: it cannot be reached.
    """
    if is_virtual(path):
        return virtual_status(path)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a zero byte
        dangling = " that the link leads to" if "\0" not in str(path) and path.is_symlink() else ""
        raise MissingFileError(f"{path}: expected {expected}, there is no such file{dangling}") from error
    _check_mode(path, status.st_mode, expected)
    return status


def open_regular(path: Path, expected: str) -> IO[bytes]:
    """Open a regular file for reading; what took its place since it was found is refused too, without a wait.

    Args:
        path: the file, or a link to it.
        expected: content, for the error.

    Raises:
        InputError: as `check_regular`.
        OSError: it cannot be read.
    """
    if is_virtual(path):
        return open_virtual(path)
    check_regular(path, expected)
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    try:
        _check_mode(path, os.fstat(file.fileno()).st_mode, expected)
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def utf8_path(path: Path, expected: str) -> Iterator[str]:
    """A path of a regular file for libraries that take UTF-8 alone: its own, or that of the open file (Linux).

    Args:
        path: the file, or a link to it.
        expected: content, for the error.

    Raises:
        InputError: as `check_regular`.
        OSError: it cannot be read.
    """
    if utf8_text(path) == str(path):
        check_regular(path, expected)
        yield str(path)
        return
    with open_regular(path, expected) as file:
        yield f"/proc/self/fd/{file.fileno()}"


def read_bytes(path: Path, expected: str, most: int = MAX_TEXT) -> bytes:
    """Content of a regular file.

    Args:
        path: the file, or a link to it.
        expected: content, for the error.
        most: bytes at most.

    Raises:
        InputError: it is larger, or as `check_regular`.
        OSError: it cannot be read.
    """
    with open_regular(path, expected) as file:
        check_size(path, file.seek(0, os.SEEK_END), expected, most)
        file.seek(0)
        found = file.read(most + 1)
    check_size(path, len(found), expected, most)
    return found


def check_size(path: Path, size: int, expected: str, most: int) -> None:
    """Check the size of a file.

    Args:
        path: the file, for the error.
        size: bytes that it has.
        expected: content, for the error.
        most: bytes at most.

    Raises:
        InputError: it is larger.
    """
    if size > most:
        raise InputError(f"{path}: expected {expected} of {most / MIB:g} MiB at most, got {size / MIB:.1f} MiB")


def read_text(path: Path, expected: str, most: int = MAX_TEXT, encoding: str = "utf-8") -> str:
    """Text of a regular file.

    Args:
        path: the file, or a link to it.
        expected: content, for the error.
        most: bytes at most.
        encoding: utf-8, or utf-8-sig.

    Raises:
        InputError: not of this encoding, larger, or as `check_regular`.
        OSError: it cannot be read.
    """
    try:
        return read_bytes(path, expected, most).decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected {expected} in UTF-8: {error}") from error


def read_json(path: Path, expected: str, most: int = MAX_TEXT, encoding: str = "utf-8") -> Any:
    """Content of a JSON file; the caller checks its shape.

    Args:
        path: the file, or a link to it.
        expected: content, such as `settings in JSON`, for the error.
        most: bytes at most.
        encoding: utf-8, or utf-8-sig.

    Raises:
        InputError: not JSON, nested too deep, or as `read_text`.
        OSError: it cannot be read.
    """
    text = read_text(path, expected, most, encoding)
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: expected {expected}, cannot be read: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise InputError(f"{path}: expected {expected}, cannot be read: nested too deep") from error


def _check_mode(path: Path, mode: int, expected: str) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for matches, name in _KINDS if matches(mode)), "something else")
        error = MissingFileError if stat.S_ISDIR(mode) else InputError
        raise error(f"{path}: expected {expected} in a regular file, got {kind}")
