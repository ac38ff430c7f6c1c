"""Detectors of objects: pictures in, boxes with labels and scores out."""

from avssl.detection.backends.detector import Detections, Detector
from avssl.detection.backends.load import load_detector

__all__ = ["Detections", "Detector", "load_detector"]
