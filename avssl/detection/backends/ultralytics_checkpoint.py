"""Networks of ultralytics' checkpoints, without running anything in them.

A checkpoint is a pickle of a whole network. Its objects are read as inert records; the network itself is built from the
architecture that ultralytics ships under the name in the checkpoint, compared with the records layer by layer, and
given the tensors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from avssl.detection.backends.architectures import (
    NETWORKS,
    build_network,
    check_labels,
    check_side,
    is_shipped,
    matching_architectures,
)
from avssl.errors import InputError, excerpt
from avssl.io.tensor_files import check_shapes, load_tensors
from avssl.io.torch_files import Record, read_torch

RECORDED = ("torch.nn.modules.", "ultralytics.", "numpy.", "pathlib.")
"""Packages whose objects checkpoints hold; beside them stand `getattr` (methods of older ones) and classes of torch."""
PLAIN = ("builtins.getattr", "torch.nn.modules")
MAX_LAYERS = 20_000
"""Layers of a network, those inside others included; the largest shipped one has a tenth."""
MAX_DEPTH = 50
"""Layers inside one another."""
DEFAULT_SIDE = 640
VOLATILE = frozenset({"training", "inplace", "np", "type", "shape", "export", "dynamic", "format"})
"""Attributes of layers that change nothing of their output, or differ between versions of ultralytics."""
RENAMED = {"Silence": "Identity", "YOLOv10DetectionModel": "DetectionModel"}
"""Former names of classes."""


class Checkpoint(NamedTuple):
    """A detector of a checkpoint."""

    network: nn.Module
    """In evaluation mode, float32, with the averaged weights where the checkpoint has some."""
    side: int
    """Input size in training, in pixels."""


class Layer(NamedTuple):
    """A layer of a checkpoint."""

    path: str
    """Dotted name; empty for the network."""
    kind: str
    """Name of its class."""
    state: dict[str, Any]
    """Attributes, `_parameters` and `_buffers`."""


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of a detector whose architecture ultralytics ships.

    Raises:
        InputError: not such a checkpoint, another architecture, or objects that no checkpoint holds.
    """
    content = read_torch(path, lambda name: name.startswith(RECORDED) or name in PLAIN)
    found = (content.get("ema") or content.get("model")) if isinstance(content, dict) else None
    if not isinstance(found, Record) or _class_name(found) not in NETWORKS:
        raise InputError(f"expected a network of a detector under 'model', got {excerpt(_describe(found))}")
    layers = {layer.path: layer for layer in _layers(found)}
    tensors = {name: tensor for layer in layers.values() for name, tensor in _tensors(layer)}
    network = _build_same(found, layers, tensors)
    load_tensors(network, tensors, "weights")
    return Checkpoint(network.float().eval(), _side(found.get("args")))


def _build_same(found: Record, layers: dict[str, Layer], tensors: dict[str, Tensor]) -> nn.Module:
    """The network of the shipped architecture that has the layers of a checkpoint.

    Raises:
        InputError: there is none; the reason is that of the architecture that the checkpoint names, or of the nearest.
    """
    labels, keypoints, reasons = check_labels(found.get("names")), _keypoints(found), []
    for architecture in _architectures(found, layers, tensors):
        network = build_network(architecture, labels, _class_name(found), keypoints)
        try:
            _check_same(network, layers)
            check_shapes(network, tensors, "weights")
        except InputError as error:
            reasons.append(str(error))
        else:
            return network
    raise InputError(reasons[0] if reasons else "its layers are those of no architecture that ultralytics ships")


def _architectures(found: Record, layers: dict[str, Layer], tensors: dict[str, Tensor]) -> list[str]:
    """Names of the shipped architectures that a checkpoint may have: the one it names, then those with its layers."""
    described = found.get("yaml")
    named = described.get("yaml_file") if isinstance(described, dict) else None
    name = named.replace("\\", "/").rpartition("/")[2] if isinstance(named, str) else ""
    top = sorted((each for each in layers if re.fullmatch(r"model\.\d+", each)), key=lambda each: int(each[6:]))
    stem = tensors.get("model.0.conv.weight")
    channels = len(stem) if stem is not None and stem.ndim else 0
    matching = matching_architectures([layers[each].kind for each in top], channels)
    return list(dict.fromkeys([*([name] if is_shipped(name) else []), *matching]))


def _keypoints(network: Record) -> tuple[int, ...]:
    """Number and dimensions of key points; empty for networks without."""
    if _class_name(network) != "PoseModel":
        return ()
    shape = network.get("kpt_shape")
    values = tuple(shape) if isinstance(shape, list | tuple) else ()
    if len(values) != 2 or not all(type(each) is int for each in values) or not 1 <= values[0] <= 1000:
        raise InputError(f"expected number and dimensions of key points, got {excerpt(shape)}")
    return values if values[1] in (2, 3) else (values[0], 3)


def _side(notes: Any) -> int:
    """Pixels that a network was trained at, as its checkpoint notes them."""
    noted = notes.get("imgsz") if isinstance(notes, dict | Record) else None
    return check_side(DEFAULT_SIDE if noted is None else noted)


def _layers(network: Record) -> Iterator[Layer]:
    """A layer and those inside it, in no more than `MAX_LAYERS` and `MAX_DEPTH`.

    Raises:
        InputError: they are more, or something that is no layer stands among them.
    """
    stack, count = [("", network, 0)], 0
    while stack:
        path, record, depth = stack.pop()
        count += 1
        inside = record.get("_modules") if isinstance(record, Record) else None
        if not isinstance(inside, dict):
            where = excerpt(path or "the top")
            raise InputError(f"expected the layers of a network, got none at {where}; nothing was run")
        if count > MAX_LAYERS or depth > MAX_DEPTH:
            raise InputError(f"expected at most {MAX_LAYERS} layers, {MAX_DEPTH} in one another, at {excerpt(path)!r}")
        yield Layer(path, _class_name(record), record.state)
        stack += [(f"{path}.{name}".lstrip("."), each, depth + 1) for name, each in inside.items() if each is not None]


def _tensors(layer: Layer) -> Iterator[tuple[str, Tensor]]:
    """Parameters and saved buffers of a layer by their full names."""
    unsaved = layer.state.get("_non_persistent_buffers_set") or ()
    for group in ("_parameters", "_buffers"):
        for name, tensor in (layer.state.get(group) or {}).items():
            if isinstance(tensor, Tensor) and not (group == "_buffers" and name in unsaved):
                yield f"{layer.path}.{name}".lstrip("."), tensor


def _check_same(network: nn.Module, layers: dict[str, Layer]) -> None:
    """See that a checkpoint's layers are those of the network that was built: class and plain attributes.

    Raises:
        InputError: they differ, as those of a changed architecture do.
    """
    built = dict(network.named_modules(remove_duplicate=False))
    if different := sorted(built.keys() ^ layers.keys()):
        raise InputError(f"its layers are not those of the shipped architecture: {excerpt(different[0])}")
    for path, module in built.items():
        name, layer = type(module).__name__, layers[path]
        if name != layer.kind:
            raise InputError(f"layer {path} is a {excerpt(layer.kind)}, the shipped architecture has a {name}")
        for key, value in vars(module).items():
            if _is_setting(key, value) and key in layer.state and not _equal(value, layer.state[key]):
                other = excerpt(layer.state[key])
                raise InputError(f"layer {path} has {key} {other}, the shipped architecture has {value}")


def _is_setting(name: str, value: Any) -> bool:
    """Whether an attribute of a layer decides about its output."""
    plain = isinstance(value, bool | int | float | str) or (
        isinstance(value, list | tuple) and all(isinstance(each, bool | int | float | str) for each in value)
    )
    return plain and not name.startswith("_") and name not in VOLATILE


def _equal(one: Any, other: Any) -> bool:
    pair = [list(each) if isinstance(each, list | tuple) else [each] for each in (one, other)]
    return bool(pair[0] == pair[1])


def _class_name(record: Record) -> str:
    name = record.kind.rpartition(".")[2]
    return RENAMED.get(name, name)


def _describe(found: Any) -> str:
    return found.kind if isinstance(found, Record) else type(found).__name__
