"""TensorBoard events of a run, written at once: no thread that fails unseen, nothing lost with a killed process."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from avssl.errors import OutputError


class EventFile:
    """A new file of TensorBoard events in a run folder.

    Args:
        folder: of the run; made if it is not there.
        start: events of earlier files from this step on are dropped: their steps run again.

    Raises:
        OutputError: it cannot be written, as on a full disk or above a limit of the file size.
    """

    def __init__(self, folder: Path, start: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # 1 s to import
        from tensorboard.summary.writer.record_writer import RecordWriter

        # Read in the order of names; starts within one second are in order too.
        stamp = f"{time.time():017.6f}.{platform.node()}.{os.getpid()}"
        self.path = folder / f"events.out.tfevents.{stamp}"
        self._event = Event
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb", buffering=0)
            self._records = RecordWriter(self)
        self._add(file_version="brain.Event:2")
        self._add(step=start, session_log=SessionLog(status=SessionLog.START))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Add one number."""
        from torch.utils.tensorboard.summary import scalar

        self._add(step=step, summary=scalar(name, value))  # type: ignore[no-untyped-call]

    def add_image(self, name: str, image: Tensor, step: int) -> None:
        """Add an image, uint8 or float in 0..1, `(3 or 1, height, width)`."""
        from torch.utils.tensorboard import summary

        self._add(step=step, summary=summary.image(name, image, dataformats="CHW"))  # type: ignore[no-untyped-call]

    def add_audio(self, name: str, waveform: Tensor, step: int, sample_rate: int) -> None:
        """Add audio of full scale 1, `(1, samples)`."""
        from torch.utils.tensorboard.summary import audio

        self._add(step=step, summary=audio(name, waveform, sample_rate))  # type: ignore[no-untyped-call]

    def write(self, record: bytes) -> None:
        """Write a whole record; the library's record writer calls it."""
        left = memoryview(record)
        while left:  # a disk that fills up takes a part first
            left = left[self._file.write(left) :]

    def sync(self) -> None:
        """Have all events on the disk, as before a checkpoint of the same step."""
        with self._writing():
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _add(self, **fields: Any) -> None:
        with self._writing():
            self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self.path}: events cannot be written: {error.strerror or error}; the last checkpoint stays, "
                "the same command continues from it"
            ) from error
