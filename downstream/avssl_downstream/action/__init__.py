"""Action recognition on UCF101, HMDB51, folders of classes and the built-in actions."""

from avssl_downstream.action.head import Action

__all__ = ["Action"]
