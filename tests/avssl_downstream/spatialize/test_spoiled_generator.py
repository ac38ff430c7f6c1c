"""Folders of generators from elsewhere: spoiled configs and weights are one line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from avssl_downstream.spatialize.generator_io import read_generator, write_generator
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator
from safetensors.torch import load_file, save_file

from avssl.io.memory import resident_mb

SMALL = {"width": 4, "seconds": 0.31, "rows": 64, "columns": 64, "grid_rows": 2, "grid_columns": 2}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    options = SpatializeOptions(generator="pseudo_binaural", generator_options=SMALL)
    folder = tmp_path_factory.mktemp("generator")
    write_generator(folder, build_generator(options, None), options, None)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def refused(folder: Path) -> str:
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_generator(folder, {})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return str(caught.value)


def test_a_generator_as_it_was_saved_is_loaded(folder: Path) -> None:
    generator, options = read_generator(folder, {})
    assert options.generator_options == SMALL
    assert not generator.training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generator_options": SMALL | {"width": 10**9}}, "generator_options.width of at most 8192, got 1e+09"),
        ({"generator_options": SMALL | {"width": 8192}}, "pseudo_binaural.width is from 1 to 512, not 8192"),
        ({"generator_options": SMALL | {"rows": 10**9}}, "generator_options.rows of at most 8192, got 1e+09"),
        ({"generator_options": SMALL | {"seconds": float("inf")}}, "generator_options.seconds to be a finite number"),
        ({"generator_options": [1]}, "config.json"),
        ({"batch": 10**9}, "batch of at most 65536"),
        ({"hop": float("nan")}, "hop to be a finite number"),
        ({"generator": "x" * 10**5}, "no generator"),
        ({"visual_branch": "timm/eva02_enormous_patch14_clip_224"}, "weights of timm/eva02_enormous_patch14_clip_224"),
        ({"generator": ["x"]}, "config.json"),
    ],
)
def test_absurd_options_are_refused_by_key(folder: Path, change: dict[str, Any], message: str) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["options"] |= change
    path.write_text(json.dumps(config))
    assert message in refused(folder)


@pytest.mark.parametrize("value", ["model features", [["model"], "features"], 5, {"model": 1, "features": 2}])
def test_towers_that_are_none_are_refused(folder: Path, value: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"encoders": value}))
    assert "config.json: expected" in refused(folder)


def test_a_tower_that_the_file_has_no_weights_for_is_refused_before_it_is_built(folder: Path) -> None:
    path = folder / "config.json"
    towers = {"model": {"video": "timm/eva02_enormous_patch14_clip_224"}, "features": {}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"encoders": towers}))
    before = resident_mb()
    assert "weights of timm/eva02_enormous_patch14_clip_224" in refused(folder)
    assert resident_mb() - before < 500


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda each: each * float("nan"), "NaN or infinity as float32"),
        (lambda each: each.to(torch.int32), "int32 instead of float32"),
        (lambda each: each.to(torch.complex64), "complex64 instead of float32"),
        (lambda each: each[:0], "other shapes at"),
    ],
)
def test_spoiled_weights_are_refused(folder: Path, spoil: Any, message: str) -> None:
    path = folder / "generator.safetensors"
    tensors = load_file(path)
    name = next(name for name, each in tensors.items() if each.is_floating_point())
    save_file(tensors | {name: spoil(tensors[name])}, path)
    assert message in refused(folder)
