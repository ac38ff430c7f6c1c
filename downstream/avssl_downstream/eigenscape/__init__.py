"""Acoustic scene classification in ambisonics: EigenScape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avssl_downstream.eigenscape.head import Eigenscape

__all__ = ["Eigenscape"]


def __getattr__(name: str) -> Any:
    """Import the head on first use: its options are read without torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from avssl_downstream.eigenscape.head import Eigenscape

    return Eigenscape
