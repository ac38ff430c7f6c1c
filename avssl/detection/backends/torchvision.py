"""Detectors of torchvision, with weights from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avssl.detection.backends.detector import Detections, Detector
from avssl.errors import InputError, excerpt
from avssl.io.hashing import sha256
from avssl.io.tensor_files import SUFFIX, load_tensors, read_tensors
from avssl.io.torch_files import read_torch
from avssl.plugins import hint

PREFIX = "torchvision/"
BATCH = 4


class Vision(Detector):
    """A detection network of torchvision; it scales images itself.

    Args:
        network: maps a list of images to boxes, labels and scores.
        labels: by number.
        name: of the model.
        digest: sha256 of its weights.
    """

    def __init__(self, network: nn.Module, labels: list[str], name: str, digest: str) -> None:
        self.name, self.sha256, self.labels = name, digest, labels
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.eval().to(self.device)

    @torch.inference_mode()
    def find(self, frames: NDArray[np.uint8], min_score: float) -> list[Detections]:
        """See `Detector.find`."""
        planes = torch.from_numpy(frames).permute(0, 3, 1, 2)
        outputs: list[dict[str, Tensor]] = []
        for start in range(0, len(planes), BATCH):
            outputs += self.network(list(planes[start : start + BATCH].to(self.device).float() / 255))
        return [self._found(each, min_score) for each in outputs]

    def _found(self, output: dict[str, Tensor], min_score: float) -> Detections:
        kept = output["scores"] >= min_score
        edges, scores, numbers = (output[name][kept].cpu().numpy() for name in ("boxes", "scores", "labels"))
        return Detections(edges.astype(np.float32), scores.astype(np.float32), self.named(numbers.tolist()))

    def named(self, numbers: list[int]) -> list[str]:
        """Labels by number; the number itself where there is none."""
        return [self.labels[each] if each < len(self.labels) else str(each) for each in numbers]


def read_vision(model: str) -> Vision:
    """`torchvision/NAME:PATH`; without a path, the file of the default weights in torch's own folder of downloads.

    Raises:
        InputError: no such network, no such file, or weights of another network.
    """
    from torchvision import models

    path = weights_path(model)
    name = model.removeprefix(PREFIX).partition(":")[0]
    default = models.get_model_weights(name).DEFAULT
    network = models.get_model(name, weights=None, weights_backbone=None)
    try:
        load_tensors(network, _state(path), str(path))
    except InputError as error:
        raise InputError(f"{path}: not weights of {name}: {excerpt(error).removeprefix(f'{path}: ')}") from error
    return Vision(network, list(default.meta["categories"]), f"torchvision-{name}", sha256(path))


def weights_path(model: str) -> Path:
    """The file of the weights of `torchvision/NAME:PATH`.

    Raises:
        InputError: no such network, or no such file.
    """
    from torchvision import models

    name, _, given = model.removeprefix(PREFIX).partition(":")
    known = models.list_models(module=models.detection)
    if name not in known:
        raise InputError(f"torchvision has no detector {name!r}{hint(name, known)}; {', '.join(known)}")
    default = models.get_model_weights(name).DEFAULT
    path = Path(given) if given else _downloaded(default)
    if not path.is_file():
        raise InputError(f"{path}: no such weights, and none are downloaded; give {PREFIX}{name}:PATH ({default.url})")
    return path


def _downloaded(weights: Any) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name


def _state(path: Path) -> dict[str, Tensor]:
    state = read_tensors(path) if path.suffix == SUFFIX else read_torch(path)
    if not isinstance(state, dict) or not all(isinstance(each, Tensor) for each in state.values()):
        raise InputError(f"{path}: expected tensors by name, as a state dict of torchvision has them, got other values")
    return state
