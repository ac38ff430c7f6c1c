"""One writer a folder or file at a time: a lock that ends with its process, and a line about its holder."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import os
import platform
import shlex
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from filelock import lock_descriptor

from avssl.errors import InputError, OutputError, one_line
from avssl.io.atomic import short_name

NAME = ".avssl.lock"
"""Lock file in a folder; beside a file it is `.FILE.lock`. Both are removed at the end."""
SECONDS_BETWEEN_TRIES = 0.2
TRIES = 100
"""Times that a folder is made again which other commands remove; each failure is a step of theirs."""
LETTING_GO = 5.0
"""Seconds for a process that a killed holder was just starting to let go of what it inherited."""
LONGEST = 200
"""Characters of a command line in messages."""
WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
"""Errors of file systems that have no locks, such as Lustre mounted without `flock`."""
_held: dict[tuple[Path, int], int] = {}
"""Lock file and thread -> descriptor."""

Owner = TypeVar("Owner")
Result = TypeVar("Result")
logger = logging.getLogger(__name__)


@contextlib.contextmanager
def folder_lock(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a folder for all that a command writes there; a thread that holds it enters again at once.

    The operating system ends the lock with the process, however that ends. Readers need none.

    Args:
        folder: made if it is not there; removed again where it stays empty.
        wait: wait until another process lets go, instead of the error; for caches, which both want alike.

    Raises:
        InputError: another process writes there, or this is a file.
        OutputError: it cannot be written to.
    """
    if _is_other(folder, os.stat):
        raise InputError(f"{folder}: expected a folder to write to, this is a file")
    with made_folder(folder), _locked(folder.resolve() / NAME, folder, wait):
        yield


@contextlib.contextmanager
def file_lock(path: Path, *, wait: bool = False) -> Iterator[None]:
    """As `folder_lock`, of one file and those that are written beside it under its name.

    Args:
        path: need not exist; its folder does.
        wait: as there.

    Raises:
        InputError: another process writes it.
        OutputError: its folder is not there, or cannot be written to.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: cannot be written: there is no folder {path.parent}")
    with _locked(path.parent.resolve() / f".{short_name(path.name)}.lock", path, wait):
        yield


def locks_folder(work: Callable[[Owner, Path], Result]) -> Callable[[Owner, Path], Result]:
    """A method that holds the folder it is given; see `folder_lock`."""

    @functools.wraps(work)
    def locked(self: Owner, folder: Path) -> Result:
        with folder_lock(folder):
            return work(self, folder)

    return locked


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it where they are missing; remove them again where they stay empty.

    Raises:
        OSError: it cannot be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    _make(folder)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the first that is not empty ends it
            for each in missing:
                each.rmdir()


def _make(folder: Path) -> None:
    """Make a folder and those above it, also while other commands that end remove them as empty ones.

    Raises:
        OSError: it cannot be made.
    """
    for left in reversed(range(TRIES)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            break
        except (FileNotFoundError, FileExistsError):  # gone between the making of one and the next
            if not left or any(_is_other(folder, look) for look in (os.stat, os.lstat)):
                raise


def _is_other(path: Path, look: Callable[[Path], os.stat_result]) -> bool:
    """Whether there is something that is no folder, by a single look: it may come and go between two."""
    try:
        return not stat.S_ISDIR(look(path).st_mode)
    except OSError:
        return False


@contextlib.contextmanager
def _locked(path: Path, target: Path, wait: bool) -> Iterator[None]:
    key = path, threading.get_ident()
    if key in _held:
        yield
        return
    _held[key] = _acquired(path, target, wait)
    try:
        yield
    finally:
        if key in _held:  # not in a forked child
            _release(path, _held.pop(key))


def _acquired(path: Path, target: Path, wait: bool) -> int:
    """Descriptor of the locked file, with a note about this process in it."""
    said, end = False, time.monotonic() + LETTING_GO
    while (held := _tried(path, target)) is None:
        if _is_gone(path) and time.monotonic() < end:
            time.sleep(SECONDS_BETWEEN_TRIES)
            continue
        if not wait:
            raise InputError(
                f"{target}: expected a place where no other command writes, got one that {_holder(path)}; "
                "wait until it ends, or give another one"
            )
        if not said:
            logger.info("%s: waits for %s", target, _holder(path).removeprefix("is held by "))
        said = True
        time.sleep(SECONDS_BETWEEN_TRIES)
    with contextlib.suppress(OSError):  # of a full disk: the lock holds, its holder stays unnamed
        os.ftruncate(held, 0)
        os.pwrite(held, json.dumps(_own()).encode(), 0)
    return held


def _tried(path: Path, target: Path) -> int | None:
    """Descriptor of the locked file; None where another holds it."""
    while True:
        held = _opened(path, target)
        try:
            free = _lock(held, target)
            if free and _is_at(path, held):
                return held
        except BaseException:
            os.close(held)
            raise
        os.close(held)
        if not free:
            return None


def _opened(path: Path, target: Path) -> int:
    """Descriptor of the lock file, which is made where it is missing."""
    for left in reversed(range(TRIES)):
        try:
            _make(path.parent)  # it may have gone, empty, with another command
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if not left or not isinstance(error, FileNotFoundError):
                raise OutputError(f"{target}: cannot be written: {one_line(error)}") from error
    raise AssertionError


def _lock(held: int, target: Path) -> bool:
    try:
        return lock_descriptor(held, blocking=False)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise OutputError(f"{target}: cannot be locked: {one_line(error)}") from error
        logger.warning("%s: this file system has no locks (%s); run one command at a time here", target, error.strerror)
        return True


def _is_at(path: Path, held: int) -> bool:
    """Whether a path is still the open file: the holder before removes it while others have it open."""
    try:
        return os.path.samestat(os.fstat(held), path.lstat())
    except OSError:
        return False


def _release(path: Path, held: int) -> None:
    """Remove the file, then let go: whoever locks it after that finds it gone and makes a new one."""
    with contextlib.suppress(OSError):
        if _is_at(path, held):
            path.unlink()
    os.close(held)


def _own() -> dict[str, str | int]:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else ""
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    shown = command if len(command) <= LONGEST else f"{command[:LONGEST]}..."
    return {"pid": os.getpid(), "host": platform.node(), "since": since, "command": shown}


def _holder(path: Path) -> str:
    """The holder of a lock in words, as it wrote itself down."""
    for _ in range(5):  # it writes right after it has locked
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            text = "is held by process {pid} on {host} since {since} ({command})".format_map(_note(path))
            return "".join(each if each.isprintable() else "?" for each in text)
        time.sleep(0.05)
    return "is held by another process"


def _is_gone(path: Path) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, OverflowError):
        note = _note(path)
        if note["host"] == platform.node():
            try:
                os.kill(int(note["pid"]), 0)
            except ProcessLookupError:
                return True
    return False


def _note(path: Path) -> dict[str, Any]:
    """What the holder of a lock wrote into it; anything, where another program did."""
    found: dict[str, Any] = json.loads(path.read_bytes()[: 10 * LONGEST])
    return found


def _forget() -> None:
    """In a forked process, such as a loader: the lock must not outlive the process that took it."""
    for held in _held.values():
        os.close(held)
    _held.clear()


os.register_at_fork(after_in_child=_forget)
