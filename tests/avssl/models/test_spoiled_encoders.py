"""Encoder folders from elsewhere: absurd configs and spoiled weights are one line, before memory is taken."""

import json
from random import Random

import pytest
import torch
from safetensors.torch import load_file, save_file

from avssl.config import FeatureConfig, ModelConfig
from avssl.io.memory import resident_mb
from avssl.models import Encoders, build_encoders


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("saved")
    build_encoders(ModelConfig(), FeatureConfig(mels=64)).save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((saved / name).read_bytes())
    return tmp_path


def refused(folder):
    before = resident_mb()
    with pytest.raises(ValueError, match=r"\w") as caught:
        Encoders.from_pretrained(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert resident_mb() - before < 200
    return str(caught.value)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("features", {"mels": 10**9}, "config.json: expected mels of at most 1024, got 1e+09"),
        ("features", {"n_fft": 10**9}, "config.json: expected n_fft of at most 32768, got 1e+09"),
        ("features", {"hop": 2**63}, "config.json: expected hop of at most 65536"),
        ("features", {"sample_rate": 10**10}, "config.json: expected sample_rate of at most 768000"),
        ("features", {"top_db": float("nan")}, "config.json: expected top_db to be a finite number, got nan"),
        ("features", {"mels": -1}, "features.mels must be positive"),
        ("features", {"mels": [64]}, "config.json"),
        ("features", {"name": "x" * 10**6}, "features.name is"),
        ("model", {"preset": {"a": 1}}, "config.json"),
        ("model", {"video": "timm/eva02_enormous_patch14_clip_224"}, "video.tower: lacks"),
        ("model", {"audio": "timm/vit_giant_patch14_dinov2"}, "audio.tower: lacks"),
        ("geometry", {"seconds": 1.0, "frames": 10**9, "frame_rate": 1.0}, "expected frames of at most 10000"),
        ("geometry", {"seconds": float("inf"), "frames": 1, "frame_rate": 1.0}, "expected seconds to be a finite"),
        (
            "geometry",
            {"seconds": 1.0, "frames": 1, "frame_rate": 1.0, "min_fov": 200.0},
            "expected min_fov of 0 to 180",
        ),
    ],
)
def test_absurd_configs_are_refused_by_key(folder, section, change, message):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config[section] = (config[section] or {}) | change
    path.write_text(json.dumps(config))
    assert message in refused(folder)


@pytest.mark.parametrize("section", ["features", "model", "geometry"])
@pytest.mark.parametrize("value", [[1], "mels: 3", 5, True])
def test_a_section_that_is_no_mapping_is_refused(folder, section, value):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {section: value}))
    assert "config.json: expected a" in refused(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "config.json"),
        ('{"a":' * 100_000, "config.json"),
        ("[1]", "config.json: expected encoders of avssl"),
        ("9" * 10_000, "config.json"),
        (" " * (2**24 + 1), "config.json: expected encoders in JSON of 16 MiB at most"),
        ('{"format": "avssl-encoders", "version": 2, "convention": "%s"}' % ("x" * 10**6), "convention 'ambix'"),
    ],
)
def test_a_config_that_is_none_is_one_short_line(folder, text, message):
    (folder / "config.json").write_text(text)
    assert message in refused(folder)


def test_a_section_nested_without_end_is_refused(folder):
    path = folder / "config.json"
    text = json.dumps(json.loads(path.read_text()) | {"features": "HERE"})
    path.write_text(text.replace('"HERE"', '{"name":' * 900 + "1" + "}" * 900))
    assert "config.json" in refused(folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda each: each * float("nan"), "NaN or infinity as float32"),
        (lambda each: each + float("inf"), "NaN or infinity as float32"),
        (lambda each: each.to(torch.int32), "int32 instead of float32"),
        (lambda each: each.to(torch.complex64), "complex64 instead of float32"),
        (lambda each: each.double() + 1e300, "NaN or infinity as float32"),
        (lambda each: each > 0, "bool instead of float32"),
    ],
)
@pytest.mark.parametrize("name", ["audio.tower.out.bias", "video.tower.out.weight", "audio.features.mean"])
def test_spoiled_weights_are_refused_by_name(folder, name, spoil, message):
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {name: spoil(tensors[name])}, folder / "model.safetensors")
    assert f"{name} ({message})" in refused(folder)


def test_deviations_that_divide_by_nothing_are_refused(folder):
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"audio.features.std": torch.zeros(64)}, folder / "model.safetensors")
    assert "expected positive deviations as audio.features.std" in refused(folder)


def test_a_backbone_of_the_config_loads_as_before(tmp_path):
    torch.manual_seed(0)
    model = ModelConfig(video="timm/test_resnet", audio="timm/test_resnet")
    made = build_encoders(model, FeatureConfig(mels=64)).eval()
    made.save(tmp_path)
    found = Encoders.from_pretrained(tmp_path)
    assert found.fingerprint() == made.fingerprint()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_corrupted_folders_load_or_are_one_line(folder, name):
    content, random, outcomes = (folder / name).read_bytes(), Random(0), []
    for _ in range(30):
        data = bytearray(content)
        for _ in range(random.choice([1, 3, 20])):
            data[random.randrange(min(len(data), 2000))] = random.randrange(256)
        (folder / name).write_bytes(bytes(data)[: random.choice([len(data), random.randrange(len(data))])])
        try:
            Encoders.from_pretrained(folder)
        except ValueError as error:
            outcomes.append(str(error))
    assert len(outcomes) > 10
    assert not [each for each in outcomes if "\n" in each or str(folder) not in each]
