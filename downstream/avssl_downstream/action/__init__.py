"""Action recognition on UCF101, HMDB51, folders of classes and synthetic actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avssl_downstream.action.head import Action

__all__ = ["Action"]


def __getattr__(name: str) -> Any:
    """Import the head on first use: its options are read without torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from avssl_downstream.action.head import Action

    return Action
