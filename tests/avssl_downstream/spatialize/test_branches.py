"""Shared encoders inside generators: both towers, frozen first, then at a lower rate; options that do not fit."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize import Spatialize
from avssl_downstream.spatialize.generator_io import read_generator, write_generator
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator, resolve_branches
from avssl_downstream.spatialize.training import optimizer_options, training_manifests
from safetensors.torch import load_file
from torch.utils.data import default_collate

from avssl.config import FeatureConfig, ModelConfig, OptimConfig, TrainConfig
from avssl.models.encoders import Encoders
from avssl.models.tower import pooling_tensors
from avssl.testing import make_clips
from avssl.train.loop import fit
from avssl.train.optim import optimizer, set_learning_rates

GENERATORS = {
    "asn": {
        "network": "small", "sample_rate": 16000, "spectrum": {"n_fft": 512, "window_length": 400, "hop": 320},
        "bands": 32, "frames": 2, "rows": 32, "columns": 64, "grid_rows": 1, "grid_columns": 2,
    },
    "foa360": {
        "network": "pointing", "sample_rate": 24000, "n_fft": 512, "hop": 512, "stft_frames": 32, "output_seconds": 0.4,
        "bands": 32, "tracks": 3, "units": 16, "rows": 32, "columns": 64,
    },
    "mono_to_3d": {
        "seconds": 1.0, "spectrum_hop": 250, "frames": 2, "frame_rate": 2.0, "rows": 32, "columns": 32, "width": 4,
        "visual_width": 8, "depth": 3, "hop": 0.5,
    },
    "pseudo_binaural": {
        "width": 4, "rows": 32, "columns": 64, "grid_rows": 1, "grid_columns": 2, "fusion": "none", "crop": False,
    },
}  # fmt: skip
BRANCHED = [*GENERATORS, "foa360-order-2", "foa360-unet", "mono_to_3d-pointing"]


def make_encoders(features: str = "mono-logmel") -> Encoders:
    torch.manual_seed(7)
    return Encoders(ModelConfig(), FeatureConfig(features, mels=64)).eval()


@pytest.fixture(scope="module")
def encoders() -> Encoders:
    return make_encoders()


def options(name: str, **changed) -> SpatializeOptions:
    generator, _, variant = name.partition("-")
    own = {
        "order-2": {"order": 2},
        "unet": {"variant": "unet"},
        "no_video": {"variant": "no_video"},
        "pointing": {"network": "pointing", "bands": 32, "tracks": 3, "units": 8},
    }.get(variant, {})
    settings = {"train": TrainConfig(steps=1, precision="32-true")} | changed
    return SpatializeOptions(generator=generator, generator_options=GENERATORS[generator] | own, **settings)


def batch_of(generator):
    clips = make_clips(2, 0, generator.seconds, generator.frames, generator.sample_rate, min(4, generator.channels))
    missing = generator.channels - len(clips[0].audio)
    clips = [replace(each, audio=torch.nn.functional.pad(each.audio, (0, 0, 0, missing))) for each in clips]
    return default_collate([generator.views(each, np.random.default_rng(0)) for each in clips])


@pytest.mark.parametrize("name", BRANCHED)
def test_both_towers_are_used_by_default_and_change_what_is_generated(name, encoders):
    generator = build_generator(options(name), encoders).eval()
    resolved = resolve_branches(options(name), generator)
    assert (resolved.visual_branch, resolved.audio_branch) == ("encoders", "encoders")
    own, kept = generator.audio_branch.network.state_dict(), encoders.audio.state_dict()
    assert all(torch.equal(each, kept[key]) for key, each in own.items())
    generator.train()(batch_of(generator))["loss"].backward()
    towers = {key: each for key, each in generator.named_parameters() if ".tower." in key and each.requires_grad}
    assert all(each.grad is not None for each in towers.values())
    assert all(bool(each.grad.any()) for key, each in towers.items() if key.endswith("stages.0.weight"))
    assert {key.split(".")[0] for key in towers} == {"visual_branch", "audio_branch"}


@pytest.mark.parametrize("name", BRANCHED)
def test_the_output_has_the_level_of_the_input_and_follows_the_audio_tower(name, encoders):
    generator = build_generator(options(name), encoders).eval()
    torch.manual_seed(0)
    audio = 0.05 * torch.randn(2, generator.input_channels, generator.samples).squeeze(1)
    frames = torch.zeros(2, generator.frames, 3, *generator.size, dtype=torch.uint8)
    with torch.no_grad():
        features = generator.encode_video(frames)
        once, louder = generator.generate(audio, features), generator.generate(4 * audio, features)
        torch.testing.assert_close(louder, 4 * once, atol=1e-5, rtol=1e-3)
        generator.audio_branch.projection.bias.add_(100.0)
        changed = generator.generate(audio, features)
    assert not torch.allclose(changed, once, atol=1e-5)


def test_without_encoders_a_generator_is_what_it_was():
    generator = build_generator(options("asn"), None)
    assert generator.audio_branch is None
    resolved = resolve_branches(options("asn"), generator)
    assert (resolved.visual_branch, resolved.audio_branch) == ("scratch", "none")
    again = build_generator(options("asn", visual_branch="scratch", audio_branch="none"), None).state_dict()
    assert all(torch.equal(each, again[key]) for key, each in generator.state_dict().items())


def test_an_audio_tower_that_does_not_fit_is_left_out_by_default_and_said(caplog):
    foa = make_encoders("foa-iv")
    with caplog.at_level(logging.WARNING):
        generator = build_generator(options("mono_to_3d"), foa)
    assert generator.audio_branch is None
    assert "foa-iv, take 4 channels, the generator has 1" in caplog.text
    assert build_generator(options("foa360-order-2"), foa).audio_branch.network.features.name == "foa-iv"


def test_towers_are_frozen_first_then_trained_at_their_rate(encoders):
    """Over three steps of a training: two of them frozen."""
    settings = options("pseudo_binaural", encoders_frozen_steps=2, encoders_lr_multiplier=0.25)
    batch = batch_of(build_generator(settings, encoders))

    class Same:
        workers = 0

        def between(self, start, stop):
            yield from [batch] * (stop - start)

    def trained(steps):
        generator = build_generator(settings, encoders)
        config = TrainConfig(steps=steps, precision="32-true")
        optim = optimizer_options(generator, replace(settings, optim=OptimConfig(lr=1e-3, weight_decay=0.0)))
        fit(generator, Same(), config, optim, None, progress=False)
        return generator.state_dict()

    first = build_generator(settings, encoders).state_dict()
    two, three = trained(2), trained(3)
    towers = [key for key in first if ".tower." in key]
    assert all(torch.equal(first[key], two[key]) for key in towers)
    assert not torch.equal(first["audio_branch.projection.weight"], two["audio_branch.projection.weight"])
    # Adam's first step has the length of the rate in every weight with a gradient well above its epsilon.
    for key in ("visual_branch.network.tower.stages.0.weight", "audio_branch.network.tower.stages.0.weight"):
        moved = (three[key] - first[key]).abs()
        assert float(moved.median()) == pytest.approx(0.25 * 1e-3, rel=1e-3)


def test_rates_and_frozen_steps_of_the_user_go_before_those_of_encoders(encoders):
    generator = build_generator(options("foa360"), encoders)
    own = OptimConfig(lr=1.0, lr_multipliers={"visual_branch": 0.5}, frozen_steps={"visual_branch.rgb": 3})
    found = optimizer_options(
        generator, options("foa360", optim=own, encoders_frozen_steps=7, encoders_lr_multiplier=0.1)
    )
    assert found.lr_multipliers == {"visual_branch": 0.5, "audio_branch.network": 0.1}
    assert found.frozen_steps == {
        "visual_branch.rgb": 3,
        "visual_branch.flow.network": 7,
        "audio_branch.network": 7,
    }
    rule = optimizer(generator, found)
    set_learning_rates(rule, found, 0, 10)
    rates = {id(each): group["lr"] for group in rule.param_groups for each in group["params"]}
    named = dict(generator.named_parameters())
    assert rates[id(named["audio_branch.projection.weight"])] == 1.0
    assert rates[id(named["audio_branch.network.tower.stages.0.weight"])] == 0.1
    assert rates[id(named["visual_branch.flow.network.tower.stages.0.weight"])] == 0.5
    scratch = options("foa360", visual_branch="scratch", audio_branch="scratch")
    assert optimizer_options(build_generator(scratch, encoders), scratch) == scratch.optim
    kept = options("foa360", fine_tune=False)
    assert optimizer_options(build_generator(kept, encoders), kept) == kept.optim


@pytest.mark.parametrize("name", ["asn", "foa360-order-2"])
def test_a_saved_generator_needs_no_encoders(name, tmp_path):
    features = "foa-iv" if name == "foa360-order-2" else "mono-logmel"
    encoders = make_encoders(features)
    encoders.fit_features([torch.randn(1, 4, 24000)])
    generator = build_generator(options(name), encoders)
    write_generator(tmp_path, generator, resolve_branches(options(name), generator), encoders)
    loaded, resolved = read_generator(tmp_path, {})
    assert (resolved.visual_branch, resolved.audio_branch) == ("encoders", "encoders")
    unused = pooling_tensors(generator)
    kept = {key: each for key, each in generator.state_dict().items() if key not in unused}
    assert all(torch.equal(each, loaded.state_dict()[key]) for key, each in kept.items())
    assert load_file(tmp_path / "generator.safetensors").keys() == kept.keys()
    assert str(tmp_path) not in (tmp_path / "config.json").read_text()
    assert loaded.audio_branch.network.features.config == encoders.feature_config


def test_a_head_fitted_before_audio_branches_has_none(tmp_path, encoders):
    settings = options("asn", visual_branch="encoders", audio_branch="none")
    write_generator(tmp_path, build_generator(settings, encoders), settings, encoders)
    config = json.loads((tmp_path / "config.json").read_text())
    for each in ("audio_branch", "encoders_frozen_steps", "encoders_lr_multiplier"):
        del config["options"][each]
    (tmp_path / "config.json").write_text(json.dumps(config))
    generator, resolved = read_generator(tmp_path, {})
    assert generator.audio_branch is None
    assert resolved.audio_branch == "none"
    with pytest.raises(ValueError, match="fitted with audio_branch none, got scratch"):
        read_generator(tmp_path, {"audio_branch": "scratch"})


@pytest.mark.parametrize(
    ("name", "settings", "features", "said"),
    [
        ("asn", {"audio_branch": "encoders"}, "foa-iv", "whose features take 1 channel.* got foa-iv, which takes 4"),
        ("asn", {"visual_branch": "scratch"}, "foa-iv", "got visual_branch=scratch and audio_branch=none"),
        ("asn", {"visual_branch": "none", "audio_branch": "none"}, "mono-logmel", "to use --encoders"),
        ("asn", {"visual_branch": "torchvision/resnet18", "audio_branch": "none"}, "mono-logmel", "to use --encoders"),
        ("foa360-no_video", {"visual_branch": "encoders"}, "mono-logmel", "a branch for visual_branch=encoders"),
        ("foa360-no_video", {"audio_branch": "none"}, "mono-logmel", "to use --encoders"),
    ],
)  # fmt: skip
def test_encoders_that_cannot_be_used_are_one_line(name, settings, features, said, tmp_path):
    with pytest.raises(ValueError, match=said) as caught:
        Spatialize(make_encoders(features), options(name, **settings)).fit(tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "run").glob("config*"))


def test_a_synthetic_dataset_of_another_layout_is_one_line_before_it_is_rendered(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    for name, dataset, said in (
        ("foa360", "stage", "binaural, this generator needs ambi"),
        ("asn", "synth360", "ambix"),
    ):
        generator = build_generator(options(name), None)
        with pytest.raises(ValueError, match=f"synthetic_dataset={dataset}: audio is {said}"):
            training_manifests(generator, options(name, synthetic_dataset=dataset))
    assert not (tmp_path / "cache").exists()


def test_branches_of_encoders_without_encoders_are_one_line():
    for name in ("visual_branch", "audio_branch"):
        with pytest.raises(ValueError, match=f"{name}=encoders needs --encoders"):
            Spatialize(None, options("asn", **{name: "encoders"}))


def test_scratch_beside_encoders_has_to_be_said_of_both(encoders):
    twin = build_generator(options("asn", visual_branch="scratch", audio_branch="scratch"), encoders)
    ours = build_generator(options("asn"), encoders)
    shapes = [{key: each.shape for key, each in each.state_dict().items()} for each in (twin, ours)]
    assert shapes[0] == shapes[1]
    assert build_generator(options("asn", visual_branch="scratch", audio_branch="none"), encoders).audio_branch is None
    assert build_generator(options("asn", visual_branch="scratch"), encoders).audio_branch.source == "encoders"
