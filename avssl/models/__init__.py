"""Audio and video towers, encoders, and loading of published weights."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avssl.models.avsa_checkpoint import load_published
    from avssl.models.encoder_factory import build_encoders
    from avssl.models.encoders import Encoders

__all__ = ["Encoders", "build_encoders", "load_published"]

_MODULES = {"Encoders": "encoders", "build_encoders": "encoder_factory", "load_published": "avsa_checkpoint"}


def __getattr__(name: str) -> Any:
    """Import lazily: the command line lists plug-ins without importing torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
