"""Encoders of a command: a folder, a name, or a repository; and those where none are named."""

from __future__ import annotations

DEFAULT_ENCODERS = "avsa-foa-iv-small"
"""They come with avssl."""
ENCODERS_HELP = "Run folder, its encoders folder, a name of `avssl list`, or hf://USER/NAME."
