"""Bounds of the numbers in a config, by the names of its keys.

One name has one meaning in all configs, those of plug-ins and of files from elsewhere included. The bounds keep a wrong
value from filling the memory: each is far above any sensible one. Tighter ranges are checked by the dataclasses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from avssl.errors import InputError, excerpt

MAX_DEPTH = 16
"""Mappings and lists inside one another."""
MAX_INTEGER = 2**63 - 1
"""Largest whole number of any key."""
DAY = 86_400
"""Seconds."""
_GROUPS: tuple[tuple[float, str], ...] = (
    (768_000, "sample_rate"),
    (32_768, "n_fft window_length"),
    (65_536, "hop batch retrieval_batch stft_frames spectrum_hop"),
    (1_024, "mels crops yaw_negatives workers grid_rows grid_columns tracks frame_rate"),
    (8_192, "size resize side rows columns wrap_padding width height bands"),
    (16_384, "embedding hidden projection units visual_width"),
    (128, "transformer relative_directions depth stages order"),
    (10_000, "frames draws train_draws test_draws per_window rotations neighbours groups windows"),
    (10_000, "test_clips train_clips keypoints classes split"),
    (100_000, "bootstrap"),
    (1_000_000, "clips epochs panoramas held_out recordings max_clips"),
    (DAY, "seconds clip_seconds window segment step output_seconds"),
)
LARGEST = {name: most for most, names in _GROUPS for name in names.split()}
"""Name of a key -> its largest value, in the unit of the key."""


def check_numbers(config: Any, key: str = "", depth: int = 0) -> None:
    """Check all numbers of a config.

    Args:
        config: plain values, lists and mappings.
        key: dotted key of `config`; empty: the whole config.
        depth: mappings and lists around it.

    Raises:
        InputError: a number is infinite, NaN or beyond its bound, or values are nested too deep.
    """
    if depth > MAX_DEPTH:
        raise InputError(f"{excerpt(key)}: expected values {MAX_DEPTH} deep at most, got deeper ones")
    if isinstance(config, Mapping):
        for name, value in config.items():
            check_numbers(value, f"{key}.{name}" if key else str(name), depth + 1)
    elif isinstance(config, list | tuple):
        for value in config:
            check_numbers(value, key, depth + 1)
    elif isinstance(config, int | float) and not isinstance(config, bool):
        _check_number(key, config)


def _check_number(key: str, value: float) -> None:
    if not math.isfinite(value):
        raise InputError(f"expected {excerpt(key)} to be a finite number, got {value}")
    most = LARGEST.get(key.rpartition(".")[2], MAX_INTEGER if isinstance(value, int) else math.inf)
    if abs(value) > most:
        raise InputError(f"expected {excerpt(key)} of at most {most:g}, got {value:g}")
