"""Spatial audio from mono audio and video: fit a generator, evaluate it, apply it to files and live streams."""

from avssl_downstream.spatialize.frame_features import LiveFrames
from avssl_downstream.spatialize.head import Spatialize
from avssl_downstream.spatialize.streaming import StreamingSpatializer

__all__ = ["LiveFrames", "Spatialize", "StreamingSpatializer"]
