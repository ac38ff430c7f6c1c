"""A detector from what a user calls it."""

from __future__ import annotations

from pathlib import Path

from avssl.detection.backends.detector import Detector
from avssl.detection.backends.torchvision import PREFIX, read_vision
from avssl.detection.backends.yolo import OPENVINO, read_yolo
from avssl.detection.detector_io import CONFIG, read_folder
from avssl.errors import InputError

ENDINGS = ("", ".pt", ".onnx", OPENVINO)
KINDS = "a .pt or .onnx file, an OpenVINO folder, a folder of `avssl train-detector`, or torchvision/NAME:WEIGHTS"


def load_detector(model: str) -> Detector:
    """The detector that a name or path stands for; only files that are there are read, nothing is downloaded.

    Args:
        model: a path, with or without its ending, or `torchvision/NAME:PATH`.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    if model.startswith(PREFIX):
        return read_vision(model)
    path = _path(model)
    if (path / CONFIG).is_file():
        return read_folder(path)
    if (path.is_file() and path.suffix in (".pt", ".onnx")) or (path.is_dir() and any(path.glob("*.xml"))):
        return read_yolo(path)
    raise InputError(f"{path}: expected a detector: {KINDS}")


def _path(model: str) -> Path:
    for ending in ENDINGS:
        path = Path(f"{model}{ending}")
        if path.exists() and model:
            return path
    raise InputError(f"{model}: no such detector here, and none is downloaded; give {KINDS}")
