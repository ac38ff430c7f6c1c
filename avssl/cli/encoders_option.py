"""Encoders of a command: a folder, a name, or a repository; and those where none are named."""

from __future__ import annotations

import logging
from pathlib import Path

logger = logging.getLogger(__name__)

DEFAULT_ENCODERS = "avsa-foa-iv-small"
"""They come with avssl."""
ENCODERS_HELP = "Run folder, its encoders folder, a name of `avssl list`, or hf://USER/NAME."


def named_or_default(encoders: Path | None) -> Path | str:
    """The encoders that a command names, else those that come with avssl, which is said."""
    if encoders is None:
        logger.info("encoders: %s, which come with avssl; --encoders names others", DEFAULT_ENCODERS)
    return encoders or DEFAULT_ENCODERS
