"""Atomic writes: a temporary file in the same folder, renamed into place."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import SafetensorError

from avssl.errors import OutputError, first_line, one_line

MARK = "part"
SCRATCH = ".scratch"
"""Suffix of folders for intermediate files."""


@contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[Path]:
    """Temporary path with the suffix of `path`, renamed to `path` when the body ends without an error.

    Its name holds machine and process, so that two writers of one file do not collide; leftovers of killed processes
    of this machine are removed.

    Args:
        path: target file.
        mode: permission bits; None: those that the umask gives a new file, whatever the writing library chose
            (safetensors writes 0600).
    """
    sweep(path.parent, _glob(path.stem), _glob(path.suffix))
    part = path.with_name(f".{path.stem}.{MARK}-{platform.node()}-{os.getpid()}{path.suffix}")
    try:
        yield part
        wanted = _new_mode(part) if mode is None else mode
        if stat.S_IMODE(part.stat().st_mode) != wanted:
            part.chmod(wanted)
        part.replace(path)
    except SafetensorError as error:  # of a full disk too
        raise OutputError(f"{path}: cannot be written: {one_line(error)}") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Folder for intermediate files beside a target, removed at the end of the body.

    Leftovers of killed processes of this machine for the same target are removed.

    Args:
        path: target file.
    """
    sweep(path.parent, _glob(path.stem), SCRATCH)
    prefix, suffix = f".{path.stem}.{MARK}-{platform.node()}-", f"-{os.getpid()}{SCRATCH}"
    with TemporaryDirectory(suffix, prefix, path.parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def durably_replacing(path: Path) -> Iterator[Path]:
    """As `replacing`, with file and folder flushed to disk on return.

    Raises:
        OutputError: the file cannot be written, such as on a full disk; an earlier one is left as it is.
    """
    try:
        with replacing(path) as part:
            yield part
            _flush(part)
        _flush(path.parent)
    except (OSError, RuntimeError) as error:  # torch.save turns a full disk into a RuntimeError that does not name it
        full = "" if isinstance(error, OSError) else " (is the disk full?)"
        raise OutputError(f"{path}: cannot be written{full}: {first_line(error)}") from error


def sweep(folder: Path, stem: str = "*", suffix: str = "") -> None:
    """Remove temporary files and folders that killed processes of this machine left in a folder.

    Args:
        folder: folder to sweep, not recursively.
        stem: glob pattern of the target names without suffix.
        suffix: glob pattern of the end of the target suffix.
    """
    for left in folder.glob(f".{stem}.{MARK}-{_glob(platform.node())}-*{suffix}"):
        if not _runs(left):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    """Flush a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _new_mode(part: Path) -> int:
    """Permission bits that umask and access lists give a new file, read from a probe file.

    The umask itself cannot be read without changing it for other threads.
    """
    stem, end = part.name.rsplit(f".{MARK}-", 1)
    probe = part.with_name(f"{stem}~mode.{MARK}-{end}")
    try:
        probe.touch()
        return stat.S_IMODE(probe.stat().st_mode)
    finally:
        probe.unlink(missing_ok=True)


def _glob(text: str) -> str:
    """Escape a text for use in a glob pattern."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in text)


def _runs(left: Path) -> bool:
    """Whether the process that writes a temporary file is alive; an unknown or foreign process counts as alive."""
    process = left.name[: len(left.name) - len(left.suffix)].rpartition("-")[2]
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        return True
    return True
