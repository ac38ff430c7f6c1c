"""Acoustic scenes in ambisonics: EigenScape."""

from avssl_downstream.eigenscape.head import Eigenscape

__all__ = ["Eigenscape"]
