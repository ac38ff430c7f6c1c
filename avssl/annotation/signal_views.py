"""Waveform and spectrogram of a film's sound, computed in blocks: memory does not grow with the film."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import signal

from avssl.media import read_audio

SECONDS = 10.0
"""Length of a block."""
COLUMNS = 500
"""Columns of a block: 20 ms each."""
ROWS = 96
"""Rows of a spectrogram, on a scale of mel."""
RATE = 16_000
"""Highest sample rate of spectrograms, Hz: the band up to 8 kHz."""
RANGE_DB = 80.0
"""Range from black to white; 0 dB: a full-scale sine."""
CACHED = 64
"""Blocks in memory."""


@lru_cache(CACHED)
def waveform_block(path: Path, block: int) -> NDArray[np.float32]:
    """Lowest and highest sample over all channels in each column of a block, full scale 1, `(COLUMNS, 2)`.

    Raises:
        InputError: the sound cannot be read.
    """
    samples, _ = _block(path, block)
    parts = np.array_split(samples, COLUMNS, axis=1)
    return np.array([(part.min(), part.max()) if part.size else (0.0, 0.0) for part in parts], np.float32)


@lru_cache(CACHED)
def spectrogram_block(path: Path, block: int) -> bytes:
    """Mel spectrogram of a block as PNG, `ROWS` high and `COLUMNS` wide, low frequencies below; mean power of channels.

    Raises:
        InputError: the sound cannot be read.
    """
    levels = spectrogram_levels(*_block(path, block))
    image = cv2.applyColorMap((255 * np.clip(1 + levels[::-1] / RANGE_DB, 0, 1)).astype(np.uint8), cv2.COLORMAP_MAGMA)
    encoded, png = cv2.imencode(".png", image)
    assert encoded
    return png.tobytes()


def spectrogram_levels(samples: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """Levels of a mel spectrogram in dB of a full-scale sine, `(ROWS, COLUMNS)`, low frequencies first.

    Args:
        samples: `(channels, samples)` of a block.
        rate: Hz.
    """
    window = max(16, round(0.032 * rate))
    frequencies, _, power = signal.spectrogram(
        samples, rate, "hann", window, window - max(1, round(SECONDS / COLUMNS * rate)), scaling="spectrum", mode="psd"
    )
    means = 2 * power.mean(0)
    edges = _mel_edges(min(rate, RATE) / 2)
    bands = [_band(means, frequencies, low, high) for low, high in pairwise(edges)]
    levels = 10 * np.log10(np.maximum(np.array(bands), 1e-12))
    return np.asarray(cv2.resize(levels, (COLUMNS, ROWS), interpolation=cv2.INTER_NEAREST), np.float64)


def _block(path: Path, block: int) -> tuple[NDArray[np.float32], int]:
    samples, rate = read_audio(path, block * SECONDS, SECONDS)
    return samples.numpy(), rate


def _mel_edges(highest: float) -> NDArray[np.float64]:
    """Edges of `ROWS` bands in Hz, even on the scale of mel (O'Shaughnessy)."""
    edges: NDArray[np.float64] = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + highest / 700), ROWS + 1) / 2595) - 1)
    return edges


def _band(power: NDArray[np.float32], frequencies: NDArray[np.float64], low: float, high: float) -> NDArray[np.float32]:
    """Highest power of a band over time; that of the nearest bin where the band is narrower than one."""
    inside = (frequencies >= low) & (frequencies < high)
    if not inside.any():
        inside[np.abs(frequencies - (low + high) / 2).argmin()] = True
    highest: NDArray[np.float32] = power[inside].max(0)
    return highest
