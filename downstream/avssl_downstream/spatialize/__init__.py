"""Spatial audio from mono audio and video: fit a generator, evaluate it, apply it to files and live streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avssl_downstream.spatialize.head import Spatialize

__all__ = ["Spatialize"]


def __getattr__(name: str) -> Any:
    """Import the head on first use: its options are read without torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from avssl_downstream.spatialize.head import Spatialize

    return Spatialize
