"""Audio-visual correspondence, spatial alignment and retrieval with frozen encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avssl_downstream.correspondence.head import Correspondence

__all__ = ["Correspondence"]


def __getattr__(name: str) -> Any:
    """Import the head on first use: its options are read without torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from avssl_downstream.correspondence.head import Correspondence

    return Correspondence
