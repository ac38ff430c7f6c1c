"""Mono sound and pictures to spatial sound."""

from avssl_downstream.spatialize.head import Spatialize

__all__ = ["Spatialize"]
