"""Write a long recording of many channels, block by block."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from avssl.data.atomic import replacing
from avssl.errors import InputError
from avssl.media.video_writer import writing

_LARGEST = 4_000_000_000
"""Bytes of sound that a wav's 32-bit sizes can tell; longer ones are RF64, which readers of wav know."""
_DEPTH = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}


def write_recording(
    path: Path | str, blocks: Iterable[np.ndarray], channels: int, sample_rate: int, seconds: float,
    *, subtype: str = "PCM_24",
) -> None:  # fmt: skip
    """Write a wav whose sound is never held as a whole; extensible (WAVEX), as more than two channels demand.

    Args:
        path: the wav to write.
        blocks: `(channels, samples)` one after the other, full scale 1; what is louder is clipped by PCM.
        channels: how many.
        sample_rate: Hz.
        seconds: how long it gets, about; says whether the file outgrows a wav.
        subtype: libsndfile's name: PCM_16, PCM_24, FLOAT.

    Raises:
        InputError: a block of another number of channels, or with values that are not finite.
        OSError: the file cannot be written.
    """
    target = Path(path)
    kind = "RF64" if channels * sample_rate * seconds * _DEPTH[subtype] > _LARGEST else "WAVEX"
    with (
        replacing(target) as part,
        writing(target),
        soundfile.SoundFile(part, "w", sample_rate, channels, subtype, format=kind) as file,
    ):
        for block in blocks:
            if block.ndim != 2 or len(block) != channels or not np.isfinite(block).all():
                raise InputError(f"{target}: blocks are finite ({channels}, samples), this is {block.shape}")
            file.write(block.T)
