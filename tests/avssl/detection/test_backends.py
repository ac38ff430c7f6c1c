"""Detectors from files: each gives what its own library gives, and nothing in a file is ever run."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import textwrap
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from avssl.detection.backends import load_detector
from avssl.detection.backends.ultralytics import ultralytics
from avssl.detection.detector_io import Config, build, write_folder

# Not `importorskip`: that would import it as it is, online and with settings in the user's home.
pytestmark = pytest.mark.skipif(find_spec("ultralytics") is None, reason="needs the extra `detect`")
FRAMES = np.random.default_rng(0).integers(0, 256, (3, 72, 128, 3), dtype=np.uint8)
CONFIG = Config("yolo11n.yaml", 128, "equirect", ["cat", "dog", "tractor"])


@pytest.fixture(scope="module")
def network():
    """A small network of random weights whose scores differ: its normalisation statistics are those of the images."""
    torch.manual_seed(0)
    made = build(CONFIG).train()
    for _ in range(20):
        made(grey(FRAMES))
    for branch in made.model[-1].cv3:
        torch.nn.init.normal_(branch[-1].weight, std=0.4)
        torch.nn.init.normal_(branch[-1].bias, mean=-2.0)
    return made.eval()


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "ours"
    write_folder(path, CONFIG, network.state_dict())
    return path


def grey(frames):
    """As networks take them: colours in 0..1, sides multiples of 32, what is added grey."""
    planes = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    return torch.nn.functional.pad(planes, (0, 0, 0, -planes.shape[-2] % 32), value=114 / 255)


def same(mine, others):
    for one, other in zip(mine, others, strict=True):
        assert one.labels == other.labels
        assert one.edges == pytest.approx(other.edges, abs=0.5)
        assert one.scores == pytest.approx(other.scores, abs=0.01)


@pytest.mark.heavy
def test_our_folder_finds_what_the_network_finds(network, folder):
    detector = load_detector(str(folder))
    assert (detector.name, detector.side, detector.views) == ("ours", 128, "equirect")
    with torch.inference_mode():
        boxes, scores = network(grey(FRAMES))[0].split([4, 3], 1)
    found = detector.find(FRAMES, 0.3)
    for each, box, score in zip(found, boxes, scores, strict=True):
        assert len(each.labels) == len(each.scores) > 3
        x, y, width, height = box.numpy()
        corners = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1)
        corners = corners.clip(0, (128, 72, 128, 72))
        for edges, label, value in zip(each.edges, each.labels, each.scores, strict=True):
            near = np.abs(corners - edges).max(1) < 2
            # bfloat16 keeps two digits.
            assert np.abs(score[CONFIG.labels.index(label)].numpy()[near] - value).min() < 0.05
            assert 0.3 <= value <= 1


@pytest.mark.heavy
def test_checkpoint_finds_what_our_folder_finds(network, folder, tmp_path):
    torch.save({"model": network, "ema": None, "best_fitness": np.float64(0.5), "train_args": {}}, tmp_path / "net.pt")
    detector = load_detector(str(tmp_path / "net"))
    assert detector.name == "net"
    same(detector.find(FRAMES, 0.3), load_detector(str(folder)).find(FRAMES, 0.3))


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """The network as an ONNX file and as an OpenVINO folder."""
    onnx = pytest.importorskip("onnx", reason="exporting a network needs onnx")
    folder = tmp_path_factory.mktemp("exported")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = torch.zeros(1, 3, 128, 128)
        torch.onnx.export(network, example, folder / "net.onnx", dynamo=False, input_names=["images"])
    notes = {"names": dict(enumerate(CONFIG.labels)), "imgsz": [128, 128], "stride": 32, "batch": 1, "task": "detect"}
    model = onnx.load(folder / "net.onnx")
    for name, value in notes.items():
        model.metadata_props.add(key=name, value=str(value))
    onnx.save(model, folder / "net.onnx")
    ultralytics()  # so that OpenVINO stays silent
    openvino = pytest.importorskip("openvino")
    (folder / "net_openvino_model").mkdir()
    openvino.save_model(openvino.Core().read_model(folder / "net.onnx"), folder / "net_openvino_model" / "net.xml")
    # JSON is YAML.
    (folder / "net_openvino_model" / "metadata.yaml").write_text(json.dumps(notes | {"names": CONFIG.labels}))
    return folder


@pytest.mark.parametrize("name", ["net.onnx", "net_openvino_model"])
@pytest.mark.heavy
def test_exports_find_what_the_checkpoint_finds(network, exported, tmp_path, name):
    detector = load_detector(str(exported / name))
    assert (detector.side, detector.fixed) == (128, True)
    square = np.pad(FRAMES, ((0, 0), (0, 56), (0, 0), (0, 0)), constant_values=114)
    torch.save({"model": network}, tmp_path / "same.pt")
    others = load_detector(str(tmp_path / "same.pt")).find(square, 0.4)
    for mine, other in zip(detector.find(FRAMES, 0.4), others, strict=True):
        best = min(len(mine.scores), len(other.scores), 3)
        assert best
        assert mine.scores[:best] == pytest.approx(other.scores[:best], abs=0.05)
        assert set(mine.labels) <= set(CONFIG.labels)


@pytest.mark.heavy
def test_torchvision_finds_what_torchvision_finds(tmp_path):
    name = "ssdlite320_mobilenet_v3_large"
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None, weights_backbone=None).eval()
    for kind in ("pt", "safetensors"):
        path = tmp_path / f"w.{kind}"
        (torch.save if kind == "pt" else save_file)(network.state_dict(), path)
        detector = load_detector(f"torchvision/{name}:{path}")
        with torch.inference_mode():
            theirs = network(list(torch.from_numpy(FRAMES).permute(0, 3, 1, 2).float() / 255))
        for mine, other in zip(detector.find(FRAMES, 0.02), theirs, strict=True):
            count = int((other["scores"] >= 0.02).sum())
            assert len(mine.labels) == count
            assert mine.edges == pytest.approx(other["boxes"][:count].numpy(), abs=1e-3)


class Evil:
    """Unpickled, it runs a command."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("way", ["zip", "legacy", "inside", "getattr"])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path, network, way):
    marker, path = tmp_path / "ran", tmp_path / "evil.pt"
    if way == "zip":
        torch.save({"model": Evil(marker)}, path)
    elif way == "legacy":
        path.write_bytes(pickle.dumps({"model": Evil(marker)}))
    elif way == "inside":
        network.extra = Evil(marker)
        torch.save({"model": network}, path)
        del network.extra
    else:
        torch.save({"model": getattr, "other": network}, path)
    with pytest.raises(ValueError, match=r"evil\.pt: not a detector") as caught:
        load_detector(str(path))
    assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "weights", "task"])
def test_what_is_no_detector_is_refused_in_one_line(tmp_path, network, kind):
    path = tmp_path / "net.pt"
    torch.save({"model": network} if kind == "cut" else {"model": torch.nn.Linear(2, 2).state_dict()}, path)
    if kind == "task":
        torch.save({"model": torch.nn.Linear(2, 2)}, path)
    if kind in ("cut", "empty", "text"):
        content = {"cut": path.read_bytes()[:5000], "empty": b"", "text": b"hello"}[kind]
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"net\.pt: not a detector that ultralytics") as caught:
        load_detector(str(path)).find(FRAMES, 0.3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "content"), [("net.onnx", b"not onnx"), ("net_openvino_model/net.xml", b"<net>")])
def test_a_broken_export_is_refused_in_one_line(tmp_path, name, content):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    (tmp_path / "net_openvino_model").mkdir(exist_ok=True)
    (tmp_path / "net_openvino_model" / "net.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="not a detector that ultralytics") as caught:
        load_detector(str(tmp_path / Path(name).parts[0]))
    assert "\n" not in str(caught.value)


@pytest.mark.heavy
def test_an_openvino_folder_of_another_name_or_without_its_notes_is_told_what_to_do(exported, tmp_path):
    renamed = shutil.copytree(exported / "net_openvino_model", tmp_path / "mine")
    with pytest.raises(ValueError, match="rename it to mine_openvino_model"):
        load_detector(str(renamed))
    named = renamed.rename(tmp_path / "mine_openvino_model")
    assert load_detector(str(named)).side == 128
    (named / "metadata.yaml").unlink()
    with pytest.raises(ValueError, match="does not say imgsz, batch and names"):
        load_detector(str(named))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "expected a detector of avssl"),
        ({"version": 2}, "made by a newer avssl"),
        ({"labels": []}, "expected 1 to 10000 labels, got []"),
        ({"side": "large"}, "expected an input size of 1 to 8192 pixels, got large"),
        ({"side": 10**9}, "expected an input size of 1 to 8192 pixels, got 1000000000"),
        ({"labels": ["x" * 201]}, "expected labels 0 to 0 of 200 printable letters at most"),
        ({"views": "all"}, "viewports or equirect as views"),
        ({"architecture": "../yolo11n.yaml"}, "expected an architecture of ultralytics"),
        ({"architecture": "yolo99n.yaml"}, "ships no detector 'yolo99n.yaml'"),
        ({"labels": ["one"]}, "not the weights of a yolo11n.yaml"),
    ],
)
def test_a_folder_of_ours_that_is_not_whole_is_refused_in_one_line(folder, tmp_path, change, message):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (broken / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | change))
    with pytest.raises(ValueError, match="broken") as caught:
        load_detector(str(broken))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["yolo11n", "yolo11n.pt", "https://example.org/yolo11n.pt", "truth", "", "no/where"])
def test_names_that_are_no_files_are_refused_without_asking_the_network(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no such detector here, and none is downloaded"):
        load_detector(name)


def test_torchvision_names_and_weights_that_are_missing_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="did you mean 'retinanet_resnet50_fpn'"):
        load_detector("torchvision/retinanet_resnet50_fp")
    with pytest.raises(ValueError, match="no such weights, and none are downloaded"):
        load_detector("torchvision/retinanet_resnet50_fpn")
    (tmp_path / "w.pth").write_bytes(b"\x80\x02cposix\nsystem\n.")
    with pytest.raises(ValueError, match=r"w\.pth: not weights of retinanet_resnet50_fpn: expected tensors") as caught:
        load_detector(f"torchvision/retinanet_resnet50_fpn:{tmp_path / 'w.pth'}")
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)  # torch recommends to run what lies in the file


@pytest.mark.heavy
def test_libraries_stay_offline_and_leave_nothing_behind(folder, exported, tmp_path):
    """In a process of its own: no address is resolved, no file is created, global state is unchanged."""
    script = """
        import os, socket, sys
        import cv2, numpy, torch

        def refuse(*_, **__):
            raise SystemExit("it went to the network")

        socket.getaddrinfo = socket.socket.connect = refuse
        before = dict(os.environ), cv2.getNumThreads(), torch.save, numpy.get_printoptions(), torch.get_num_threads()
        from avssl.detection.backends import load_detector
        for model in sys.argv[1:]:
            load_detector(model).find(numpy.zeros((1, 64, 128, 3), numpy.uint8), 0.5)
        after = dict(os.environ), cv2.getNumThreads(), torch.save, numpy.get_printoptions(), torch.get_num_threads()
        added = {name for name in after[0] if before[0].get(name) != after[0][name]}
        assert added <= {"YOLO_OFFLINE", "YOLO_AUTOINSTALL", "YOLO_VERBOSE", "ORT_DISABLE_TELEMETRY"}, added
        assert before[1:] == after[1:]
    """
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    environment = os.environ | {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "MPLCONFIGDIR": str(tmp_path / "mpl")}
    models = [str(folder), str(exported / "net.onnx"), str(exported / "net_openvino_model")]
    command = [sys.executable, "-c", textwrap.dedent(script), *models]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    assert not [*home.rglob("*"), *here.rglob("*")]


def test_only_one_file_imports_ultralytics():
    package = Path(__file__).parents[3] / "avssl"
    texts = {path.name: path.read_text() for path in package.rglob("*.py")}
    assert [name for name, text in texts.items() if 'import_module("ultralytics")' in text] == ["ultralytics.py"]
    assert not [name for name, text in texts.items() if re.search(r"^\s*(import|from) ultralytics", text, re.MULTILINE)]
