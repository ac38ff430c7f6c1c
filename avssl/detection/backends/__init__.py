"""Object detectors: images to boxes with labels and scores."""

from avssl.detection.backends.detector import Detections, Detector
from avssl.detection.backends.load import load_detector

__all__ = ["Detections", "Detector", "load_detector"]
