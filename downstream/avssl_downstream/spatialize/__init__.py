"""Spatial audio from mono audio and video: fit a generator, evaluate it, apply it to files and live streams."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avssl_downstream.spatialize.frame_features import LiveFrames
    from avssl_downstream.spatialize.head import Spatialize
    from avssl_downstream.spatialize.streaming import StreamingSpatializer

__all__ = ["LiveFrames", "Spatialize", "StreamingSpatializer"]
_MODULES = {"LiveFrames": "frame_features", "Spatialize": "head", "StreamingSpatializer": "streaming"}


def __getattr__(name: str) -> Any:
    """Import a class on first use: the head's options are read without torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
