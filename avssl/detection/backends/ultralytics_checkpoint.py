"""Load the network of an ultralytics checkpoint (a pickle) with an allowlist of classes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import nn

from avssl.detection.backends.ultralytics import ultralytics
from avssl.errors import InputError

LAYERS = ("torch.nn.modules.", "ultralytics.nn.")
"""Modules whose layers may be made; making one runs none of the file's code."""
RECORDS = ("ultralytics.utils.IterableSimpleNamespace", "pathlib.PosixPath", "numpy.dtype")
SCALARS = ("numpy._core.multiarray.scalar", "numpy.core.multiarray.scalar")
"""Single numbers of numpy, such as the best score so far."""
NUMBERS = [type(np.dtype(kind)) for kind in ("f4", "f8", "i8")]
"""Attributes of `numpy.dtype`, which no checkpoint names."""


def read_checkpoint(path: Path) -> nn.Module:
    """The network of a checkpoint, in float32; its averaged weights where it has some.

    Raises:
        InputError: not such a checkpoint, or one that contains other objects than layers.
    """
    tasks = ultralytics().nn.tasks
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception as error:  # a zip, a pickle or neither: each has errors of its own
        raise InputError(f"not a checkpoint of torch ({' '.join(str(error).split())[:120]})") from error
    with torch.serialization.safe_globals([*map(_allowed, names), *NUMBERS]):
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        except UnpicklingError as error:  # whose text recommends to run what lies in the file
            raise InputError("the checkpoint is broken, or contains more than layers; nothing was run") from error
    network: Any = checkpoint.get("ema") or checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if type(network) not in (tasks.DetectionModel, tasks.SegmentationModel, tasks.PoseModel):
        raise InputError("a checkpoint of a detector holds one under 'model'; this does not")
    detector: nn.Module = network.float().eval()
    return detector


def _allowed(name: str) -> Any:
    """Resolve a name in a checkpoint, if it is a layer or a plain record.

    Raises:
        InputError: it is neither, as in a pickle made to run code.
    """
    module, _, attribute = name.rpartition(".")
    if name.startswith(LAYERS):
        found = getattr(import_module(module), attribute, None)
        if isinstance(found, type) and issubclass(found, nn.Module):
            return found
    if name in RECORDS:
        return getattr(import_module(module), attribute)
    if name in SCALARS:
        return np.float64(0).__reduce__()[0], name
    raise InputError(f"it wants {name!r}, which is neither a layer of torch.nn nor of ultralytics.nn; nothing was run")
