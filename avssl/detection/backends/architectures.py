"""Networks of ultralytics from the architecture files that it ships; files of other origin are never read.

An architecture file can hold code: ultralytics evaluates its `activation`. So a name is looked up in the package alone,
and never as a path, in the working folder or on the network.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from avssl.detection.backends.ultralytics import ultralytics
from avssl.errors import InputError, excerpt
from avssl.plugins import hint

MAX_CLASSES = 10_000
"""Labels of a detector."""
MAX_LABEL = 200
"""Characters of a label."""
MAX_SIDE = 8192
"""Pixels of the input size of a detector."""
NETWORKS = ("DetectionModel", "SegmentationModel", "PoseModel")
"""Classes of ultralytics' networks that find objects."""


def build_network(
    architecture: str, labels: Sequence[str], network: str = "DetectionModel", keypoints: Sequence[int] = ()
) -> nn.Module:
    """A network with random weights.

    Args:
        architecture: name of an architecture file that ultralytics ships, such as `yolo11n.yaml`.
        labels: by number.
        network: one of `NETWORKS`.
        keypoints: number and dimensions of the key points of a `PoseModel`; empty: those of the architecture.

    Raises:
        InputError: no such architecture, or one of another kind of network.
    """
    library, kind = ultralytics(), _check_network(network)
    described = _description(architecture)
    extra = {"data_kpt_shape": tuple(keypoints)} if kind == "PoseModel" and keypoints else {}
    try:
        made: nn.Module = getattr(library.nn.tasks, kind)(described, nc=len(labels), verbose=False, **extra)
    except Exception as error:  # whatever an architecture of another kind breaks
        raise InputError(
            f"ultralytics {library.__version__} ships no detector {architecture!r}: {excerpt(error)}"
        ) from error
    made.names = dict(enumerate(labels))  # type: ignore[assignment]
    return made


def shipped_file(architecture: str) -> Path:
    """The file that ultralytics ships for an architecture; `yolo11n.yaml` is `yolo11.yaml` at scale n.

    Raises:
        InputError: it is no name, or no such file is shipped.
    """
    if Path(architecture).name != architecture or not architecture.endswith(".yaml"):
        raise InputError(f"expected an architecture of ultralytics such as yolo11n.yaml, not {excerpt(architecture)!r}")
    files = _shipped()
    unscaled = re.sub(r"(\d+)([nslmx])(.+)?$", r"\1\3", architecture)
    for name in (architecture, unscaled):
        if name in files:
            return files[name]
    near = hint(architecture, files)
    raise InputError(f"ultralytics {ultralytics().__version__} ships no detector {excerpt(architecture)!r}{near}")


def is_shipped(architecture: str) -> bool:
    """Whether ultralytics ships an architecture of this name."""
    try:
        shipped_file(architecture)
    except InputError:
        return False
    return True


def matching_architectures(layers: Sequence[str], channels: int) -> list[str]:
    """Names of the shipped architectures that have these layers at some scale, for networks that do not name theirs.

    Args:
        layers: names of the classes of the top layers in order; `Sequential` stands for a repeated one.
        channels: output channels of the first convolution.
    """
    found = []
    for name, path in _shipped().items():
        described = _load(str(path))
        rows = [row[2].removeprefix("nn.") for part in ("backbone", "head") for row in described[part]]
        if len(rows) == len(layers) and all(
            one in (other, "Sequential") for one, other in zip(layers, rows, strict=True)
        ):
            found += [_scaled(name, scale) for scale in _scales(described, channels)]
    return found


def _scales(described: dict[str, Any], channels: int) -> list[str]:
    """Scales of an architecture whose first convolution has so many channels; an empty text where it has one size."""
    stem = described["backbone"][0][3][0]
    sizes = described.get("scales") or {"": (None, described.get("width_multiple", 1.0), math.inf)}
    return [
        scale for scale, (_, width, most) in sizes.items() if math.ceil(min(stem, most) * width / 8) * 8 == channels
    ]


def _scaled(name: str, scale: str) -> str:
    """Name of an architecture at a scale: `yolo11.yaml` and n give `yolo11n.yaml`."""
    return re.sub(r"(\d+)", rf"\g<1>{scale}", name, count=1)


@cache
def _load(path: str) -> dict[str, Any]:
    content: dict[str, Any] = ultralytics().utils.YAML.load(path)
    return content


def check_labels(found: Any) -> list[str]:
    """Labels by number, of a list or of a mapping from numbers, as files state them.

    Raises:
        InputError: they are something else, too many or too long.
    """
    named = dict(enumerate(found)) if isinstance(found, list | tuple) else found
    if not isinstance(named, dict) or not 1 <= len(named) <= MAX_CLASSES:
        raise InputError(f"expected 1 to {MAX_CLASSES} labels, got {excerpt(found)}")
    labels = [named.get(number, named.get(str(number))) for number in range(len(named))]
    for each in labels:
        if not isinstance(each, str) or len(each) > MAX_LABEL or not each.isprintable():
            raise InputError(
                f"expected labels 0 to {len(named) - 1} of {MAX_LABEL} printable letters at most, got {excerpt(each)}"
            )
    return [str(each) for each in labels]


def check_side(found: Any) -> int:
    """Input size in pixels: a number, or the larger one of height and width.

    Raises:
        InputError: it is something else, or out of range.
    """
    sides = found if isinstance(found, list | tuple) and len(found) == 2 else [found]
    if not all(isinstance(each, int) and not isinstance(each, bool) and 1 <= each <= MAX_SIDE for each in sides):
        raise InputError(f"expected an input size of 1 to {MAX_SIDE} pixels, got {excerpt(found)}")
    return int(max(sides))


def _check_network(network: str) -> str:
    assert network in NETWORKS, f"{network} is none of ultralytics' detectors"
    return network


def _description(architecture: str) -> dict[str, Any]:
    """Content of a shipped architecture file, with name and scale as ultralytics adds them."""
    scale = ultralytics().nn.tasks.guess_model_scale(architecture)
    return deepcopy(_load(str(shipped_file(architecture)))) | {"scale": scale, "yaml_file": architecture}


@cache
def _shipped() -> dict[str, Path]:
    folder = Path(ultralytics().__file__).parent / "cfg" / "models"
    return {path.name: path for path in sorted(folder.rglob("*.yaml"))}
