"""Exported networks: ONNX files and OpenVINO folders, with the notes that ultralytics leaves in them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from avssl.detection.backends.architectures import check_labels, check_side
from avssl.detection.backends.ultralytics import ultralytics
from avssl.errors import InputError, excerpt
from avssl.regular_files import check_regular
from avssl.yaml_files import read_yaml

OPENVINO = "_openvino_model"
"""Suffix of the name of an OpenVINO folder."""
MAX_BATCH = 1024
"""Images of a batch of a network that takes one size of batch only."""
MAX_NOTE = 2**20
"""Characters of one note, such as the names of the classes."""
NOTES = "metadata.yaml"


def export_format(path: Path) -> str:
    """Format of an exported network: `onnx` or `openvino`.

    Raises:
        InputError: it is in another format, or its name is that of another one.
    """
    format = "openvino" if path.is_dir() else "onnx"
    if format == "openvino" and not path.name.endswith(OPENVINO):
        raise InputError(f"ultralytics recognises OpenVINO folders by their names; rename it to {path.name}{OPENVINO}")
    if (named := _backend()._model_type(str(path))) != format:
        raise InputError(f"ultralytics takes it for {named} by its name; rename it")
    return format


def load_export(path: Path, device: Any) -> Any:
    """Backend of an exported network; its notes are checked, and no other file is opened.

    Args:
        path: an `.onnx` file, or an OpenVINO folder.
        device: of torch.

    Raises:
        InputError: broken, of another format, with weights in other files, or with notes that are none.
        RuntimeError: whatever the library of the format raises.
    """
    if export_format(path) == "openvino":
        for ending in (".xml", ".bin"):
            check_regular(_model_file(path).with_suffix(ending), "an OpenVINO network")
    with redirect_stdout(StringIO()):  # ONNX Runtime prints a banner about files that it cannot read
        return _backend()(str(path), device, verbose=False)


def read_notes(path: Path | str) -> dict[str, Any]:
    """Notes of an exported network, those that are used and no others; empty without.

    Raises:
        InputError: a note of another type or out of its range; weights in other files.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    found = _onnx_notes(path) if path.suffix == ".onnx" else _yaml_notes(folder / NOTES)
    notes = {str(name): _literal(name, value) for name, value in found.items()} if isinstance(found, dict) else {}
    arguments = notes.get("args")
    arguments = arguments if isinstance(arguments, dict) else {}
    checked: dict[str, Any] = {name: _whole(name, notes[name], most) for name, most in _COUNTS.items() if name in notes}
    checked["args"] = {name: bool(arguments.get(name)) for name in ("nms", "dynamic")}
    if "imgsz" in notes:
        checked["imgsz"] = [check_side(notes["imgsz"])] * 2
    if "names" in notes:
        checked["names"] = dict(enumerate(check_labels(notes["names"])))
    return checked | {"end2end": bool(notes.get("end2end")), "task": str(notes.get("task", "detect"))[:40]}


_COUNTS = {"stride": 1024, "batch": MAX_BATCH, "channels": 64}
"""Whole numbers among the notes, with their largest value."""


def _whole(name: str, value: Any, most: int) -> int:
    if not isinstance(value, int) or not 1 <= value <= most:
        raise InputError(f"expected {name} from 1 to {most}, got {excerpt(value)}")
    return int(value)


def _literal(name: str, value: Any) -> Any:
    """A note as ONNX keeps it, a Python literal, as its value; other texts as they are."""
    if not isinstance(value, str):
        return value
    if len(value) > MAX_NOTE:
        raise InputError(f"expected {excerpt(name)} of {MAX_NOTE} letters at most, got {len(value)}")
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value


def _yaml_notes(path: Path) -> Any:
    """Notes beside an OpenVINO network; empty without."""
    return OmegaConf.to_container(read_yaml(path, "notes of a network")) if path.is_file() else {}


def _model_file(folder: Path) -> Path:
    files = sorted(folder.glob("*.xml"))
    if len(files) != 1:
        raise InputError(f"expected one .xml file in an OpenVINO folder, got {len(files)}")
    return files[0]


def _onnx_notes(path: Path) -> Mapping[str, str]:
    """Notes of an ONNX file.

    Raises:
        InputError: its weights lie in other files, as a made file may name any.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    graphs = [model.graph, *(each for each in model.functions)]
    if any(each.data_location == onnx.TensorProto.EXTERNAL for graph in graphs for each in _onnx_tensors(graph)):
        raise InputError("expected an ONNX file that holds its weights, got one that names other files for them")
    return {each.key: each.value for each in model.metadata_props}


def _onnx_tensors(graph: Any) -> Iterator[Any]:
    """Tensors of a graph or function, those of graphs inside it too."""
    yield from getattr(graph, "initializer", ())
    for sparse in getattr(graph, "sparse_initializer", ()):
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for inside in ((attribute.g,) if attribute.HasField("g") else ()) + tuple(attribute.graphs):
                yield from _onnx_tensors(inside)


@cache
def _backend() -> Any:
    """AutoBackend of ultralytics for these two formats alone, which reads notes by `read_notes`."""
    library = ultralytics().nn.autobackend
    reads = {"read_metadata": staticmethod(read_notes)}
    formats = {
        "onnx": type("OnnxExport", (library.ONNXBackend,), reads),
        "openvino": type("OpenVinoExport", (library.OpenVINOBackend,), reads),
    }
    return type("ExportBackend", (library.AutoBackend,), {"_BACKEND_MAP": formats})
