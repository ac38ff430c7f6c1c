"""The only place that imports ultralytics, which is AGPL-3.0: the extra `detect` installs it, nothing else needs it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from avssl.errors import InputError
from avssl.io.atomic import scratch_folder

OFFLINE = {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "YOLO_VERBOSE": "0", "ORT_DISABLE_TELEMETRY": "1"}
"""Disables network access, installation, output and telemetry, also of ONNX Runtime."""
PARTS = ("nn.autobackend", "nn.tasks", "utils.nms", "models.yolo.detect", "cfg")


@cache
def ultralytics() -> Any:
    """The package, with its networks, its suppression and its trainer imported.

    It comes without network, telemetry and plug-ins, keeps its settings in a folder that goes when the process ends,
    and leaves the process as it was: on import it would change environment, OpenCV's threads, `torch.save` and how
    arrays are printed.

    Raises:
        InputError: it is not installed.
    """
    os.environ.update(OFFLINE)
    # OpenVINO, which is imported for its models, reports its use to a web service unless this module is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    with unchanged(), scratch_folder(Path(tempfile.gettempdir(), "avssl-ultralytics")) as settings:
        os.environ["YOLO_CONFIG_DIR"] = str(settings)
        try:
            package = import_module("ultralytics")
        except ImportError as error:
            raise InputError(f"ultralytics is missing ({error}): pip install 'avssl[detect]'") from error
        for part in PARTS:
            import_module(f"ultralytics.{part}")
        _silence(package)
    return package


@contextmanager
def unchanged() -> Iterator[None]:
    """Restore global state that ultralytics changes on import and in training."""
    environment, printed = dict(os.environ), np.get_printoptions()
    threads, of_torch = cv2.getNumThreads(), torch.get_num_threads()
    patched = [(torch, "save"), (cv2, "imread"), (cv2, "imwrite"), (cv2, "imshow")]
    before = [(module, name, getattr(module, name, None)) for module, name in patched]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        cv2.setNumThreads(threads)
        torch.set_num_threads(of_torch)
        np.set_printoptions(**printed)
        torch.set_printoptions(profile="default")  # type: ignore[no-untyped-call]
        for module, name, value in before:
            if value is not None:
                setattr(module, name, value)


def _silence(package: Any) -> None:
    """No trackers of runs; settings are no longer written, as their folder is gone."""
    settings = package.settings
    settings._save = lambda: None
    for name, value in settings.items():
        if value is True:
            dict.__setitem__(settings, name, False)
