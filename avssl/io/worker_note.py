"""What a worker process tells its parent without a message: the file that it reads, and that it goes on."""

from __future__ import annotations

import ctypes
import os
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

NOTE_BYTES = 4096


class WorkerNote:
    """Memory that a worker process and its parent share.

    Args:
        context: of multiprocessing, forked or spawned.
    """

    def __init__(self, context: BaseContext) -> None:
        self._file: Any = context.RawArray(ctypes.c_char, NOTE_BYTES)
        self._beats: Any = context.RawValue(ctypes.c_ulonglong)

    @property
    def file(self) -> str:
        """The file that the process read last in the job under way; empty where it noted none."""
        return os.fsdecode(self._file.value)

    @property
    def beats(self) -> int:
        """Rises while the process goes on."""
        return int(self._beats.value)

    def write(self, path: Path) -> None:
        """Note a file."""
        self._file.value = os.fsencode(path)[-NOTE_BYTES + 1 :]

    def clear(self) -> None:
        """Note no file."""
        self._file.value = b""

    def beat(self) -> None:
        """Count a step."""
        self._beats.value += 1


_of_this_process: WorkerNote | None = None


def keep_note(note: WorkerNote) -> None:
    """Make a note that of this worker process."""
    global _of_this_process
    _of_this_process = note


def note_file(path: Path) -> None:
    """Note the file that is read next, for the error should it kill this worker process; elsewhere nothing."""
    if _of_this_process is not None:
        _of_this_process.write(path)
        _of_this_process.beat()


def beat() -> None:
    """Note that this worker process goes on, for the watchdog of its parent; elsewhere nothing."""
    if _of_this_process is not None:
        _of_this_process.beat()
