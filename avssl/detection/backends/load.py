"""Load a detector by name or path."""

from __future__ import annotations

from pathlib import Path

from avssl.detection.backends.detector import Detector
from avssl.detection.backends.exported import OPENVINO
from avssl.detection.backends.torchvision import PREFIX, read_vision, weights_path
from avssl.detection.backends.yolo import EXPORT, SUFFIXES, read_yolo, yolo_files
from avssl.detection.detector_io import CONFIG, folder_files, read_folder
from avssl.errors import InputError
from avssl.io.hashing import sha256

ENDINGS = ("", *SUFFIXES, OPENVINO)
KINDS = "a .pt or .onnx file, an OpenVINO folder, a folder of `avssl train-detector`, or torchvision/NAME:WEIGHTS"


def load_detector(model: str) -> Detector:
    """Load a detector by name or path, from local files; nothing is downloaded.

    Args:
        model: a path, with or without its ending, or `torchvision/NAME:PATH`.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    if model.startswith(PREFIX):
        return read_vision(model)
    path = _path(model)
    return read_folder(path) if _is_ours(path) else read_yolo(path)


def detector_sha256(model: str) -> str:
    """Hash of a detector's weights, that `load_detector` would give it; nothing is loaded.

    Args:
        model: see `load_detector`.

    Raises:
        InputError: there is none.
        OSError: it cannot be read.
    """
    if model.startswith(PREFIX):
        return sha256(weights_path(model))
    path = _path(model)
    return sha256(*(folder_files(path) if _is_ours(path) else yolo_files(path)))


def _is_ours(path: Path) -> bool:
    """Whether it is a folder of `avssl detector`; else one of ultralytics' formats.

    Raises:
        InputError: it is neither.
    """
    if (path / CONFIG).is_file():
        return True
    if (path.is_file() and path.suffix in SUFFIXES) or (path.is_dir() and any(path.glob("*.xml"))):
        return False
    raise InputError(f"{path}: expected a detector: {KINDS}; {EXPORT}")


def _path(model: str) -> Path:
    for ending in ENDINGS:
        path = Path(f"{model}{ending}")
        if path.exists() and model:
            return path
    raise InputError(f"{model}: no such detector here, and none is downloaded; give {KINDS}")
