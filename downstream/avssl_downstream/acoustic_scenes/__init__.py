"""Acoustic scenes: TAU Urban Audio-Visual Scenes 2021, and what it shares with EigenScape."""

from avssl_downstream.acoustic_scenes.head import AcousticScenes

__all__ = ["AcousticScenes"]
