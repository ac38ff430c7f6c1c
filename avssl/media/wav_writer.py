"""Block-wise writer of wav files of any length: WAV up to 4 GB, RF64 beyond, decided when the file is closed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
from torch import Tensor

from avssl.errors import InputError
from avssl.io.atomic import replacing
from avssl.media.write_errors import writing

RF64_AUTO_DOWNGRADE = 0x1210
"""libsndfile's SFC_RF64_AUTO_DOWNGRADE: the header becomes WAV on closing where 32-bit sizes hold the file."""
SPEAKER_MASK = 28
"""Bytes from the beginning of the fmt chunk of WAVE_FORMAT_EXTENSIBLE to its speaker positions, 4 bytes."""
STEREO = 2
"""Channels up to which libsndfile's default speaker positions are right."""


class WavWriter:
    """Block-wise wav writer; the context manager moves the finished file into place.

    WAV or RF64 is decided by the bytes written. More than two channels get no speaker positions, as ambisonic
    channels are not loudspeaker signals.

    Args:
        path: the wav to write; created when the body ends without an error.
        channels: number of channels.
        sample_rate: Hz.
        subtype: libsndfile's name: PCM_16, PCM_24, FLOAT.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path | str, channels: int, sample_rate: int, subtype: str = "FLOAT") -> None:
        self.path, self.channels, self.sample_rate, self.subtype = Path(path), channels, sample_rate, subtype
        self._stack = ExitStack()

    def __enter__(self) -> WavWriter:
        with ExitStack() as stack:
            part = stack.enter_context(replacing(self.path))
            stack.enter_context(writing(self.path))
            stack.push(lambda kind, *_: _clear_speakers(part) if kind is None and self.channels > STEREO else None)
            self.file = stack.enter_context(
                soundfile.SoundFile(
                    os.fsencode(part), "w", self.sample_rate, self.channels, self.subtype, format="RF64"
                )
            )
            # soundfile has no public name for this command.
            reached = soundfile._snd.sf_command(self.file._file, RF64_AUTO_DOWNGRADE, soundfile._ffi.NULL, 1)
            assert reached, "libsndfile takes SFC_RF64_AUTO_DOWNGRADE before anything is written"
            self._stack = stack.pop_all()
        return self

    def write(self, block: Tensor | np.ndarray) -> None:
        """Append a block.

        Args:
            block: `(channels, samples)`, full scale 1; the PCM subtypes clip beyond.

        Raises:
            InputError: another number of channels, or samples that are not finite.
            OSError: the file cannot be written.
        """
        samples = np.asarray(block)
        if samples.ndim != 2 or len(samples) != self.channels:
            raise InputError(f"{self.path}: expected blocks ({self.channels}, samples), got {samples.shape}")
        if not np.isfinite(samples).all():
            raise InputError(f"{self.path}: expected finite samples, got NaN or Inf in a block {samples.shape}")
        self.file.write(samples.T)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def write_wav(
    path: Path | str, blocks: Iterable[Tensor | np.ndarray], sample_rate: int, subtype: str = "FLOAT"
) -> None:
    """Write blocks to a wav, whole or not at all, in the memory of one block; see `WavWriter`.

    Args:
        path: the wav to write.
        blocks: `(channels, samples)` one after the other, full scale 1, as many channels as the first one.
        sample_rate: Hz.
        subtype: libsndfile's name: PCM_16, PCM_24, FLOAT.

    Raises:
        InputError: no block, one of another number of channels, or samples that are not finite.
        OSError: the file cannot be written.
    """
    waiting = iter(blocks)
    first = next(waiting, None)
    if first is None:
        raise InputError(f"{path}: expected audio to write, got no block")
    with WavWriter(path, first.shape[0] if first.ndim == 2 else 1, sample_rate, subtype) as writer:
        for block in chain([first], waiting):
            writer.write(block)


def _clear_speakers(part: Path) -> None:
    """Leave the speaker positions of a written header open; libsndfile's default for four channels is a quad."""
    with part.open("r+b") as file:
        file.seek(file.read(80).index(b"fmt ") + SPEAKER_MASK)
        file.write(bytes(4))
