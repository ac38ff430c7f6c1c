"""Detectors from strangers: whatever lies in a file, nothing of it is executed, and no constructor takes it."""

import json
import os
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from avssl.detection.backends import load_detector
from avssl.detection.backends.architectures import build_network, shipped_file
from avssl.detection.backends.load import detector_sha256
from avssl.detection.backends.segmenter import load_segmenter
from avssl.detection.backends.ultralytics import ultralytics
from avssl.detection.backends.ultralytics_checkpoint import read_checkpoint

pytestmark = pytest.mark.skipif(find_spec("ultralytics") is None, reason="needs the extra `detect`")
LABELS = ["cat", "dog"]
CODE = "__import__('pathlib').Path({marker!r}).touch() or nn.SiLU()"
"""Expression that leaves a file behind, and gives ultralytics the activation that it expects."""


class Call:
    """Unpickled, it calls a function with arguments of the file."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network("yolo11n.yaml", LABELS).eval()


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "ran"


def hostile(marker):
    """A shipped architecture with an activation that runs code."""
    described = ultralytics().utils.YAML.load(shipped_file("yolo11n.yaml"))
    return described | {"activation": CODE.format(marker=str(marker)), "scale": "n", "yaml_file": "yolo11n.yaml"}


def refused(path, load=load_detector):
    with pytest.raises(ValueError, match=r"\w") as caught:
        load(str(path))
    message = str(caught.value)
    assert "\n" not in message
    assert "weights_only" not in message
    assert len(message) < 700
    return message


def calls(marker):
    tasks, checks = ultralytics().nn.tasks, ultralytics().utils.checks
    described = hostile(marker)
    return {
        "the constructor of the network": Call(tasks.DetectionModel, described),
        "of a segmenter": Call(tasks.SegmentationModel, described),
        "the parser of architectures": Call(tasks.parse_model, described, 3),
        "a loader of checkpoints": Call(tasks.torch_safe_load, str(marker.with_suffix(".pt"))),
        "the installer of packages": Call(checks.check_requirements, "no-such-package-of-avssl"),
        "getattr": Call(getattr, torch.nn.Module, "forward"),
        "eval": Call(eval, CODE.format(marker=str(marker))),
        "a command": Call(os.system, f"touch {marker}"),
    }


@pytest.mark.parametrize("place", ["model", "inside a layer", "ema"])
@pytest.mark.parametrize("name", list(calls(Path("marker"))) if find_spec("ultralytics") else [])
def test_no_call_that_a_checkpoint_asks_for_is_made(tmp_path, marker, network, name, place, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, path = calls(marker)[name], tmp_path / "net.pt"
    if place == "inside a layer":
        network.model[0].extra = call
    torch.save({"model": network} if place == "inside a layer" else {place: call}, path)
    vars(network.model[0]).pop("extra", None)
    if place == "inside a layer" and name not in ("eval", "a command"):
        assert load_detector(str(path)).labels == {0: "cat", 1: "dog"}
    else:
        assert "not a detector" in refused(path)
    assert not marker.exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["net.pt"]


def test_the_hostile_architecture_does_run_code_in_ultralytics_itself(marker):
    """Otherwise the tests of this file would show nothing."""
    ultralytics().nn.tasks.DetectionModel(hostile(marker), verbose=False)
    assert marker.exists()


def test_a_network_that_is_a_call_of_its_constructor_has_no_layers(tmp_path, marker):
    torch.save({"model": Call(ultralytics().nn.tasks.DetectionModel, hostile(marker))}, tmp_path / "net.pt")
    assert "expected the layers of a network, got none at the top; nothing was run" in refused(tmp_path / "net.pt")
    assert not marker.exists()


def test_an_activation_in_the_notes_of_a_network_is_never_evaluated(tmp_path, marker, network):
    before = dict(network.yaml)
    network.yaml = hostile(marker)
    torch.save({"model": network}, tmp_path / "net.pt")
    network.yaml = before
    found = read_checkpoint(tmp_path / "net.pt").network
    assert not marker.exists()
    for name, tensor in network.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


@pytest.mark.parametrize("named", ["yolo11n.yaml", "mine.yaml", "{folder}/yolo11n.yaml", "../../mine.yaml"])
def test_architecture_files_beside_a_checkpoint_are_never_read(tmp_path, marker, network, named, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("yolo11n.yaml", "yolo11.yaml", "mine.yaml"):
        (tmp_path / name).write_text(json.dumps(hostile(marker)))
    network.yaml = dict(network.yaml) | {"yaml_file": named.format(folder=tmp_path)}
    torch.save({"model": network}, tmp_path / "net.pt")
    network.yaml["yaml_file"] = "yolo11n.yaml"
    assert load_detector("net.pt").labels == {0: "cat", 1: "dog"}
    assert not marker.exists()


@pytest.mark.parametrize("architecture", ["yolo11n.yaml", "yolov8n.yaml", "yolov5n.yaml", "yolov10n.yaml"])
@pytest.mark.parametrize("described", [None, {}, {"yaml_file": "gone.yaml"}, {"yaml_file": "yolov8x.yaml"}])
@pytest.mark.heavy
def test_networks_that_do_not_name_their_architecture_are_found_by_their_layers(tmp_path, architecture, described):
    """As the published weights of 2023 do not; those of another scale or version are not taken for them."""
    torch.manual_seed(0)
    made = build_network(architecture, LABELS).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = made(image)
    made.yaml = described
    torch.save({"model": made}, tmp_path / "net.pt")
    with torch.inference_mode():
        found = read_checkpoint(tmp_path / "net.pt").network(image)
    assert torch.equal(found[0], expected[0])


@pytest.mark.parametrize("load", [load_detector, load_segmenter])
@pytest.mark.parametrize("name", ["net.yaml", "net.torchscript", "net.engine", "net.pb", "net.tflite", "net.mnn"])
def test_other_formats_are_refused_with_the_way_to_export(tmp_path, marker, load, name):
    (tmp_path / name).write_text(json.dumps(hostile(marker)))
    if name.endswith("torchscript"):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / name)
    assert "yolo export model=FILE format=onnx" in refused(tmp_path / name, load)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["net_saved_model", "net_ncnn_model", "net_paddle_model", "net"])
def test_folders_of_other_formats_are_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "net.xml").write_text("<net/>")
    assert "rename it to" in refused(tmp_path / name)
    assert "rename it to" in refused(tmp_path / name, load_segmenter)


def test_a_name_that_selects_another_library_is_refused(tmp_path):
    (tmp_path / "net_qnn.onnx").write_bytes(b"x")
    assert "ultralytics takes it for qnn by its name; rename it" in refused(tmp_path / "net_qnn.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda net: setattr(net.model[0].conv, "stride", (1, 1)), "layer model.0.conv has stride"),
        (lambda net: setattr(net.model[1], "act", torch.nn.ReLU()), "layer model.1.act is a ReLU"),
        (lambda net: setattr(net.model[2], "f", 0), "layer model.2 has f 0"),
        (lambda net: net.model[3].add_module("more", torch.nn.Identity()), "not those of the shipped architecture"),
        (lambda net: setattr(net, "names", {0: "cat", 5: "dog"}), "expected labels 0 to 1"),
        (lambda net: setattr(net, "names", dict.fromkeys(range(10**4 + 1), "x")), "expected 1 to 10000 labels"),
        (lambda net: setattr(net, "args", {"imgsz": 10**9}), "expected an input size of 1 to 8192 pixels"),
        (lambda net: net.model[0].conv.weight.data.fill_(float("nan")), "model.0.conv.weight (NaN or infinity"),
        (lambda net: net.model[0].bn.running_var.fill_(-1.0), "model.0.bn.running_var (a negative variance)"),
        (lambda net: setattr(net.model[0].conv, "weight", torch.nn.Parameter(torch.ones(2, 3))), "other shapes at"),
        (lambda net: setattr(net.model[0], "conv", torch.nn.Identity()), "layer model.0.conv is a Identity"),
    ],
)
def test_a_network_that_is_not_the_shipped_one_is_refused_by_name(tmp_path, change, message):
    changed = build_network("yolo11n.yaml", LABELS).eval()
    change(changed)
    torch.save({"model": changed}, tmp_path / "net.pt")
    found = refused(tmp_path / "net.pt")
    assert message in found
    assert "yolo export" in found


def test_a_checkpoint_in_half_precision_is_the_same_network(tmp_path, network):
    torch.save({"ema": build_network("yolo11n.yaml", LABELS).half(), "model": None, "epoch": -1}, tmp_path / "a.pt")
    assert next(read_checkpoint(tmp_path / "a.pt").network.parameters()).dtype == torch.float32


def test_globals_that_other_libraries_allowed_are_not_allowed_here(tmp_path, marker):
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([Path])
    try:
        torch.save({"model": Call(Path, str(marker))}, tmp_path / "net.pt")
        assert "not a detector" in refused(tmp_path / "net.pt")
        assert Path in torch.serialization.get_safe_globals()
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def test_an_archive_that_unpacks_to_more_than_its_size_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", b"\0" * 10**7)
    assert "expected an archive of at most its own size" in refused(tmp_path / "net.pt")


def test_layers_inside_themselves_end(tmp_path):
    looped = build_network("yolo11n.yaml", LABELS)
    looped.model[0]._modules["again"] = looped.model[0]
    torch.save({"model": looped}, tmp_path / "net.pt")
    assert "at most 20000 layers, 50 in one another" in refused(tmp_path / "net.pt")


def onnx_model(path, notes=(), location=""):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.zeros((1, 6, 4), np.float32), "w")
    if location:
        weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 6, 4])
        weights.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, "offset": "0", "length": "96"}.items():
            weights.external_data.add(key=key, value=value)
    sizes = helper.make_tensor_value_info("images", 1, [1, 3, 32, 32])
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images"], ["m"], keepdims=0),
            helper.make_node("Add", ["w", "m"], ["out"]),
        ],
        "g", [sizes], [helper.make_tensor_value_info("out", 1, [1, 6, 4])], [weights],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    for key, value in dict(notes).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save_model(model, str(path)) if not location else path.write_bytes(model.SerializeToString())


GOOD = {"names": "{0: 'cat', 1: 'dog'}", "imgsz": "[32, 32]", "batch": "1", "stride": "32", "task": "detect"}


def test_notes_of_an_onnx_file_are_read_without_being_evaluated(tmp_path, marker):
    notes = GOOD | {"author": CODE.format(marker=str(marker)), "forward": "1", "session": "0", "__class__": "int"}
    onnx_model(tmp_path / "net.onnx", notes)
    detector = load_detector(str(tmp_path / "net.onnx"))
    assert (detector.labels, detector.side, detector.batch) == ({0: "cat", 1: "dog"}, 32, 1)
    assert len(detector.find(np.zeros((2, 32, 32, 3), np.uint8), 0.5)) == 2
    assert not marker.exists()


@pytest.mark.parametrize(
    ("note", "message"),
    [
        ({"batch": "1000000000"}, "expected batch from 1 to 1024"),
        ({"imgsz": "[1000000, 1000000]"}, "expected an input size of 1 to 8192 pixels"),
        ({"names": "__import__('os').getcwd()"}, "expected 1 to 10000 labels"),
        ({"names": "-" * 100000 + "1"}, "expected 1 to 10000 labels"),
        ({"names": "[" * 100000}, "expected 1 to 10000 labels"),
        ({"names": "x" * (2**20 + 1)}, "expected names of 1048576 letters at most"),
        ({"stride": "0.5"}, "expected stride from 1 to 1024"),
        ({"task": "classify"}, "its task is 'classify'"),
    ],
)
def test_absurd_notes_of_an_onnx_file_are_refused(tmp_path, note, message):
    onnx_model(tmp_path / "net.onnx", GOOD | note)
    assert message in refused(tmp_path / "net.onnx")


@pytest.mark.parametrize("location", ["weights.bin", "../secret.bin", "/etc/hostname", "pipe"])
def test_weights_of_an_onnx_file_in_other_files_are_not_opened(tmp_path, location):
    (tmp_path / "in").mkdir()
    for path in (tmp_path / "secret.bin", tmp_path / "in" / "weights.bin"):
        path.write_bytes(bytes(96))
    os.mkfifo(tmp_path / "in" / "pipe")
    onnx_model(tmp_path / "in" / "net.onnx", GOOD, location)
    assert "names other files for them" in refused(tmp_path / "in" / "net.onnx")


def test_a_named_pipe_in_place_of_weights_does_not_wait(tmp_path):
    folder = tmp_path / "net_openvino_model"
    folder.mkdir()
    (folder / "net.xml").write_text("<net/>")
    os.mkfifo(folder / "net.bin")
    assert "got a named pipe" in refused(folder)
    assert "got a named pipe" in refused(folder, detector_sha256)


@pytest.mark.parametrize("notes", ["names: &a [x]\nb: *a\n", "!!python/object/apply:os.system ['touch ran']"])
def test_notes_of_an_openvino_folder_are_plain_yaml(tmp_path, notes, monkeypatch):
    from avssl.detection.backends.exported import read_notes

    monkeypatch.chdir(tmp_path)
    (tmp_path / "metadata.yaml").write_text(notes)
    if "python" in notes:
        with pytest.raises(ValueError, match=r"metadata\.yaml: expected notes of a network in YAML, cannot be read"):
            read_notes(tmp_path)
    else:
        assert read_notes(tmp_path)["names"] == {0: "x"}
    assert not (tmp_path / "ran").exists()
