"""Files that are whole or not there."""

from __future__ import annotations

import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from avssl.errors import OutputError, one_line

MARK = "part"


@contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[Path]:
    """A temporary path beside `path`, of the same suffix, which it replaces once the body has ended well.

    The name tells machine and process, so that two that write the same file do not meet; what killed processes of this
    machine left of this file is removed.

    Args:
        path: the file.
        mode: its permission bits; None: those that the umask gives a new file, whatever the library that writes it
            chose, as safetensors writes files that nobody else may read.
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


def sweep(folder: Path, stem: str = "*", suffix: str = "") -> None:
    """Remove what killed processes of this machine had begun to write into a folder.

    Args:
        folder: where to look, not below it.
        stem: pattern of the names without suffix of what they meant to write.
        suffix: pattern of the end of their suffix.
    """
    for left in folder.glob(f".{stem}.{MARK}-{_glob(platform.node())}-*{suffix}"):
        if not _runs(left):
            left.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _new_mode(part: Path) -> int:
    """Permission bits that umask and access lists give a new file beside a temporary one, as a probe shows.

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
    """A text as a pattern that fits only itself."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in text)


def _runs(left: Path) -> bool:
    """Whether the process that writes a temporary file is alive; what is not ours to judge counts as alive."""
    process = left.name[: len(left.name) - len(left.suffix)].rpartition("-")[2]
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        return True
    return True
