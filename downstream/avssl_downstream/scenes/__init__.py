"""Acoustic scenes: TAU Urban Audio-Visual Scenes 2021, and what it shares with EigenScape."""

from avssl_downstream.scenes.head import Scenes

__all__ = ["Scenes"]
