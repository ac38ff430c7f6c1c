"""Atomic writes: a temporary file in the same folder, renamed into place."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import SafetensorError

from avssl.errors import InputError, OutputError, first_line, one_line
from avssl.regular_files import check_regular

MARK = "part"
LONGEST_STEM = 120
"""Bytes of a stem that stands in temporary names."""
TORCH_WRITER = "inline_container"
"""In the `RuntimeError` into which torch.save turns a full disk."""
WRITER = "requested and"
"""In the `OSError` without a number of numpy's tofile: `100 requested and 20 written`."""
UNSYNCED = (errno.EINVAL, errno.EROFS, errno.ENOTSUP)
"""Errors of file systems that cannot flush, as some network folders."""
SCRATCH = ".scratch"
"""Suffix of folders for intermediate files."""


@contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[Path]:
    """Temporary path with the suffix of `path`, renamed to `path` when the body ends without an error.

    Its contents are on the disk before: after a power cut, `path` is whole, as it was, or not there. Its name holds
    machine and process, so that two writers of one file do not collide; leftovers of killed processes of this machine
    are removed.

    Args:
        path: target file.
        mode: permission bits; None: those that the umask gives a new file, whatever the writing library chose
            (safetensors writes 0600).

    Raises:
        OutputError: the file cannot be written, such as on a full disk; an earlier one is left as it is.
        InputError: a device, named pipe or socket is there, which a file would replace.
    """
    if path.exists() and not path.is_dir():
        check_regular(path, "an output")
    label = short_name(path.stem)
    sweep(path.parent, _glob(label), _glob(path.suffix))
    part = path.with_name(f".{label}.{MARK}-{platform.node()}-{os.getpid()}{path.suffix}")
    try:
        with naming(path, part):
            yield part
            wanted = _new_mode(part) if mode is None else mode
            if stat.S_IMODE(part.stat().st_mode) != wanted:
                part.chmod(wanted)
            sync(part)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Folder for intermediate files beside a target, removed at the end of the body.

    Leftovers of killed processes of this machine for the same target are removed.

    Args:
        path: target file; without a target, a name in the folder for temporary files.
    """
    sweep(path.parent, _glob(path.stem), SCRATCH)
    prefix, suffix = f".{path.stem}.{MARK}-{platform.node()}-", f"-{os.getpid()}{SCRATCH}"
    with TemporaryDirectory(suffix, prefix, path.parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def durably_replacing(path: Path) -> Iterator[Path]:
    """As `replacing`, with the folder on the disk too on return: after a power cut, `path` is the new file.

    Raises:
        OutputError: as `replacing`.
    """
    with replacing(path) as part:
        yield part
    with naming(path):
        sync(path.parent)


@contextmanager
def naming(path: Path, part: Path | None = None) -> Iterator[None]:
    """Turn errors of writing libraries and of the system that name no file into one line with the path.

    Args:
        path: file that the body writes.
        part: path that the body writes instead.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        yield
    except InputError:
        raise
    except SafetensorError as error:
        raise OutputError(f"{path}: cannot be written: {one_line(error)}") from error
    except OSError as error:
        if error.filename not in (None, str(part), str(path)) or (error.errno is None and WRITER not in str(error)):
            raise
        reason = first_line(error) if error.errno is None else os.strerror(error.errno)
        named = OutputError(f"{path}: cannot be written: {reason}")
        named.errno = error.errno
        raise named from error
    except RuntimeError as error:
        if TORCH_WRITER not in str(error):
            raise
        raise OutputError(f"{path}: cannot be written (is the disk full?): {first_line(error)}") from error


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in UNSYNCED:
            raise
    finally:
        os.close(handle)


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


def short_name(stem: str) -> str:
    """A name that leaves room for the other parts of one beside it: file systems take 255 bytes."""
    data = os.fsencode(stem)
    return stem if len(data) <= LONGEST_STEM else f"{zlib.crc32(data):08x}-{len(data)}"


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
