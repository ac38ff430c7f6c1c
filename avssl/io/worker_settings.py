"""Settings of worker processes by the environment, for every command."""

from __future__ import annotations

import os

from avssl.errors import InputError

PATIENCE = "AVSSL_PATIENCE"
"""Variable: seconds without progress after which a worker process is ended."""
START = "AVSSL_START"
"""Variable: how loader processes start."""
SECONDS = 600.0
"""Without the variable: a slow disk may take minutes to spin up or to mount, a decoder that goes on is never ended."""
STARTS = ("fork", "spawn")


def patience() -> float:
    """Seconds without progress after which a worker process is ended, `AVSSL_PATIENCE`; inf: never.

    Raises:
        InputError: not a number above 0.
    """
    text = os.environ.get(PATIENCE, "")
    try:
        found = float(text) if text else SECONDS
    except ValueError:
        found = 0.0
    if not found > 0:
        raise InputError(f"{PATIENCE}: expected seconds above 0, or inf to wait for ever, got {text!r}")
    return found


def start_method() -> str:
    """How loader processes start, `AVSSL_START`: fork, or spawn, clean ones, where CUDA or MPI forbid forks.

    Raises:
        InputError: another word.
    """
    found = os.environ.get(START, "") or STARTS[0]
    if found not in STARTS:
        raise InputError(f"{START}: expected {' or '.join(STARTS)}, got {found!r}")
    return found
