"""Detectors of objects: pictures in, boxes with labels and scores out."""

from avssl.data.detectors.detector import Detector, Found
from avssl.data.detectors.load import load_detector

__all__ = ["Detector", "Found", "load_detector"]
