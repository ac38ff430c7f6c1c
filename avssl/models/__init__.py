"""Audio and video towers, and the encoders that are published."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avssl.models.avsa_checkpoint import load_published
    from avssl.models.encoder_factory import build_encoders
    from avssl.models.encoders import Encoders

__all__ = ["Encoders", "build_encoders", "load_published"]

_HOMES = {"Encoders": "encoders", "build_encoders": "encoder_factory", "load_published": "avsa_checkpoint"}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: the command line lists things without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
