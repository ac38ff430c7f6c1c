"""Folders of heads from elsewhere: spoiled configs and tensors are one line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from avssl_downstream.action.head_io import ActionClassifier, head_config, init_head_folder, load_head, save_head
from avssl_downstream.classification.probes import classifier_from_state, make_classifier
from safetensors.torch import load_file, save_file

from avssl.config import FeatureConfig, ModelConfig
from avssl.datasets.dataset import Dataset
from avssl.models.encoders import Encoders

CLASSES = ("Fall", "Rise")
NAN = float("nan")


@pytest.fixture(params=["logistic", "knn"])
def folder(request: pytest.FixtureRequest, options: Any, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    encoders = Encoders(ModelConfig(), FeatureConfig())
    init_head_folder(tmp_path, head_config(encoders, options(), Dataset("x", Path(), (), CLASSES), "split1"))
    classifier = make_classifier(request.param, neighbours=2)
    classifier.fit(torch.randn(6, encoders.video_width), torch.tensor([0, 1, 0, 1, 0, 1]))
    save_head(tmp_path, ActionClassifier(encoders, classifier, CLASSES))
    return tmp_path


def refused(folder: Path) -> str:
    with pytest.raises(ValueError, match=r"config\.json|action\.safetensors") as caught:
        load_head(folder, {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_head_as_it_was_saved_is_loaded(folder: Path) -> None:
    head, _ = load_head(folder, {})
    assert head.classes == CLASSES
    scores = head.classifier.probabilities(torch.randn(3, head.encoders.video_width), 2)
    torch.testing.assert_close(scores.sum(1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": "ab"}, "expected a list of names as classes, got ab"),
        ({"classes": []}, "expected a list of names as classes"),
        ({"classes": [1, 2]}, "expected a list of names as classes"),
        ({"classes": ["Fall"]}, "expected two or more of 1 classes as known, got [0, 1]"),
        ({"options": [1]}, "expected a mapping of keys to values"),
        ({"features": {"mels": 10**9}}, "expected mels of at most 1024"),
        ({"model": {"video": "timm/eva02_enormous_patch14_clip_224"}}, "video.tower: lacks"),
        ({"model": 5}, "expected a mapping of keys to values"),
    ],
)
def test_spoiled_configs_are_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert message in refused(folder)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mean", lambda each: each * NAN, "expected finite real numbers as mean"),
        ("scale", lambda each: each[:5], "expected a classifier of"),
        ("known", lambda each: each + 1, "of 2 classes as known, got [1, 2]"),
        ("known", lambda each: each - 1, "of 2 classes as known, got [-1, 0]"),
        ("known", lambda each: 0 * each, "of 2 classes as known, got [0, 0]"),
        ("known", lambda each: each.double(), "expected whole numbers as known"),
    ],
)
def test_spoiled_classifiers_are_refused(folder: Path, name: str, change: Any, message: str) -> None:
    path = folder / "action.safetensors"
    tensors = load_file(path)
    save_file(tensors | {f"classifier.{name}": change(tensors[f"classifier.{name}"]).contiguous()}, path)
    assert message in refused(folder)


def test_spoiled_neighbours_are_refused(folder: Path) -> None:
    path = folder / "action.safetensors"
    tensors = load_file(path)
    if "classifier.rows" not in tensors:
        del tensors["classifier.weight"]
        save_file(tensors, path)
        assert "expected a classifier of" in refused(folder)
        return
    for name, value in (("neighbours", torch.tensor(10**9)), ("labels", tensors["classifier.labels"] + 7)):
        save_file(tensors | {f"classifier.{name}": value}, path)
        assert "expected 1 to 6 neighbours with known labels" in refused(folder)


def test_states_of_fitted_classifiers_pass(folder: Path) -> None:
    tensors = load_file(folder / "action.safetensors")
    state = {name.removeprefix("classifier."): each for name, each in tensors.items() if name.startswith("classifier")}
    assert classifier_from_state(state).state.keys() == state.keys()
