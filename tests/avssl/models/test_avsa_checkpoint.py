"""AVSA's checkpoints: loaded and ignored entries, and errors."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from avssl.config import FeatureConfig, ModelConfig
from avssl.models import build_encoders, load_published

AVSA = ModelConfig(preset="avsa")
FOA = FeatureConfig(name="foa-logmel")


def build(features=FOA, model=AVSA):
    return build_encoders(model, features)


@pytest.fixture(scope="module")
def checkpoint():
    """Entries under the names that AVSA's training script saves, from DataParallel."""
    torch.manual_seed(1)
    encoders = build()
    towers = {"video_model": encoders.video.tower, "audio_model": encoders.audio.tower}
    state = {
        f"module.{name}.{key}": drawn(value)
        for name, tower in towers.items()
        for key, value in tower.state_dict().items()
    }
    return state | {"module.classifier.weight": torch.zeros(2), "module.classifier.bias": torch.zeros(2)}


def drawn(like):
    return torch.rand(like.shape).to(like.dtype)


def filled(encoders, checkpoint):
    ours = {f"module.video_model.{name}": value for name, value in encoders.video.tower.state_dict().items()}
    ours |= {f"module.audio_model.{name}": value for name, value in encoders.audio.tower.state_dict().items()}
    return all(torch.equal(value, checkpoint[name]) for name, value in ours.items())


def test_a_checkpoint_loads_and_other_entries_are_reported(checkpoint):
    encoders = build()
    whole = {"model": checkpoint, "train_criterion": {"losses.0.w": torch.zeros(1)}, "optimizer": {}, "epoch": 50}
    report = load_published(encoders, whole)
    assert filled(encoders, checkpoint)
    assert len(report.loaded) == len(checkpoint) - 2
    assert set(report.ignored) == {
        "train_criterion",
        "optimizer",
        "epoch",
        "module.classifier.weight",
        "module.classifier.bias",
    }


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "model.module."])
def test_a_converted_checkpoint_loads_from_its_file(checkpoint, tmp_path, prefix):
    flat = {prefix + name.removeprefix("module."): value for name, value in checkpoint.items()}
    save_file(flat, tmp_path / "avsa.safetensors")
    encoders = build(model=ModelConfig(preset="avsa", init=str(tmp_path / "avsa.safetensors")))
    assert filled(encoders, checkpoint)


def test_counters_of_old_checkpoints_may_be_missing(checkpoint):
    encoders = build()
    load_published(encoders, {name: value for name, value in checkpoint.items() if "num_batches" not in name})
    assert torch.equal(encoders.audio.tower.block1.conv1.weight, checkpoint["module.audio_model.block1.conv1.weight"])


def test_features_with_other_maps_are_an_error(checkpoint):
    with pytest.raises(ValueError, match=r"features of 4 maps .* got 7 from 'foa-iv' .*; build .* features of 4 maps"):
        load_published(build(FeatureConfig(name="foa-iv")), checkpoint)


@pytest.mark.parametrize("model", [ModelConfig(), ModelConfig(preset="avsa", video="torchvision/r3d_18")])
def test_other_towers_are_an_error(checkpoint, model):
    with pytest.raises(ValueError, match=r"expected model\.preset=avsa"):
        load_published(build(model=model), checkpoint)


def test_missing_unexpected_and_misshapen_entries_are_named_and_nothing_is_loaded(checkpoint):
    encoders = build()
    before = encoders.fingerprint()
    some = {name: value for name, value in checkpoint.items() if "block3.conv1" not in name}
    for state, message in (
        (some, r"lacks audio_model\.block3\.conv1\.weight"),
        (checkpoint | {"module.video_model.conv6x.weight": torch.zeros(1)}, r"unexpected video_model\.conv6x\.weight"),
        (checkpoint | {"module.video_model.conv1.1.bias": torch.zeros(9)}, r"conv1\.1\.bias \(9,\) instead of \(64,\)"),
        ({}, "lacks .* more"),
    ):
        with pytest.raises(ValueError, match=message):
            load_published(encoders, state)
    assert encoders.fingerprint() == before


@pytest.mark.parametrize("name", ["checkpoint.pth.tar", "model.pt", "model.ckpt"])
def test_pickles_are_never_read_but_the_error_gives_a_conversion(checkpoint, tmp_path, name):
    torch.save({"model": checkpoint}, tmp_path / name)
    with pytest.raises(ValueError, match="convert it once") as caught:
        load_published(build(), tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "weights_only=True" in str(caught.value)


@pytest.mark.heavy
def test_the_conversion_of_the_error_works(checkpoint, tmp_path):
    import os
    import subprocess
    import sys

    torch.save({"model": checkpoint, "epoch": 3}, tmp_path / "model.pth")
    with pytest.raises(ValueError, match="convert") as caught:
        load_published(build(), tmp_path / "model.pth")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(str(caught.value).split("with: ")[1], shell=True, check=True, cwd=tmp_path, env=environment)
    encoders = build()
    load_published(encoders, tmp_path / "model.safetensors")
    assert filled(encoders, checkpoint)


def test_a_broken_file_is_a_one_line_error(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 200)
    for path, message in (
        (tmp_path / "broken.safetensors", "expected a complete safetensors file"),
        (tmp_path / "none.safetensors", "got none"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            load_published(build(), path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
