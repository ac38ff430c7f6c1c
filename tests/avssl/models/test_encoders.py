"""Encoders: input shapes, and the encoder folder."""

import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file, save_file

from avssl.config import FeatureConfig, ModelConfig
from avssl.models import Encoders, build_encoders
from avssl.models.encoders import PIXEL_MEAN, PIXEL_STD

FEATURES = FeatureConfig(name="foa-iv", mels=64)


def waveforms(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def frames(*shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def encoders():
    """Encoders with fitted feature statistics and batch-norm statistics."""
    torch.manual_seed(0)
    new_encoders = build_encoders(ModelConfig(), FEATURES)
    new_encoders.fit_features([waveforms(4, 24000), 3 * waveforms(4, 24000, seed=1)])
    new_encoders.audio(waveforms(4, 4, 12000))
    new_encoders.video(frames(4, 2, 3, 48, 48))
    return new_encoders.eval()


@pytest.fixture
def folder(encoders, tmp_path):
    encoders.save(tmp_path / "encoders", {"task": "avsa", "loss": 0.123456789})
    return tmp_path / "encoders"


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_leading_axes_of_audio_and_frames_are_kept(encoders):
    audio, clip = waveforms(2, 3, 4, 6000), frames(2, 3, 2, 3, 32, 48)
    with torch.no_grad():
        audio_embedding, video_embedding = encoders.audio(audio), encoders.video(clip)
        assert audio_embedding.shape == (2, 3, encoders.audio_width)
        assert video_embedding.shape == (2, 3, encoders.video_width)
        torch.testing.assert_close(encoders.audio(audio[1, 2]), audio_embedding[1, 2], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(encoders.video(clip[1, 2]), video_embedding[1, 2], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("preset", ["small", "avsa"])
def test_embeddings_are_float32_inside_autocast(preset):
    new_encoders = build_encoders(ModelConfig(preset=preset), FEATURES).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        audio_embedding, video_embedding = (
            new_encoders.audio(waveforms(1, 4, 6000)),
            new_encoders.video(frames(1, 2, 3, 32, 32)),
        )
    assert audio_embedding.dtype == video_embedding.dtype == torch.float32
    assert audio_embedding.shape == (1, new_encoders.audio_width)
    assert video_embedding.shape == (1, new_encoders.video_width)


def test_the_video_encoder_normalises_as_torchvision_does(encoders):
    from torchvision.transforms.v2 import functional

    clip = frames(1, 2, 3, 32, 40)
    expected = functional.normalize(clip[0] / 255, list(PIXEL_MEAN), list(PIXEL_STD)).movedim(0, 1)
    video_embedding = []
    hook = encoders.video.tower.register_forward_pre_hook(lambda module, args: video_embedding.append(args[0]))
    encoders.video(clip)
    encoders.video(clip.float())
    hook.remove()
    torch.testing.assert_close(video_embedding[0][0], expected)
    torch.testing.assert_close(video_embedding[1], video_embedding[0])


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 4, 32, 32), (2, 32, 32, 3)])
def test_frames_of_another_shape_are_an_error(encoders, shape):
    with pytest.raises(ValueError, match="time, 3, height, width"):
        encoders.video(frames(*shape))


@pytest.mark.parametrize("shape", [(24000,), (2, 24000), (1, 3, 24000)])
def test_audio_of_another_channel_count_is_an_error(encoders, shape):
    with pytest.raises(ValueError, match="channels"):
        encoders.audio(waveforms(*shape))


def test_saved_encoders_load_bit_for_bit(encoders, folder):
    found = Encoders.from_pretrained(folder)
    ours, theirs = encoders.state_dict(), found.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert found.features.mean.abs().min() > 1
    assert (found.sample_rate, found.convention) == (24000, "ambix")
    assert (found.model_config, found.feature_config) == (encoders.model_config, encoders.feature_config)
    assert not any(module.training for module in found.modules())
    with torch.no_grad():
        assert torch.equal(found.audio(waveforms(2, 4, 9000)), encoders.audio(waveforms(2, 4, 9000)))
        assert torch.equal(found.video(frames(2, 1, 3, 64, 64)), encoders.video(frames(2, 1, 3, 64, 64)))


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(preset="avsa"),
        ModelConfig(video="timm/resnet10t", audio="torchvision/resnet18"),
    ],
    ids=["avsa", "backbones"],
)
@pytest.mark.parametrize("name", ["mono-logmel", "foa-logmel"])
@pytest.mark.heavy
def test_every_kind_of_tower_loads(model, name, tmp_path):
    new_encoders = build_encoders(model, FeatureConfig(name=name))
    new_encoders.save(tmp_path)
    assert Encoders.from_pretrained(tmp_path).fingerprint() == new_encoders.fingerprint()


def test_a_run_folder_holds_its_encoders(encoders, folder):
    assert Encoders.from_pretrained(folder.parent).fingerprint() == encoders.fingerprint()
    assert Encoders.from_pretrained(str(folder)).fingerprint() == encoders.fingerprint()


def test_saving_again_leaves_no_other_file(encoders, folder):
    encoders.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_a_write_that_fails_leaves_the_old_folder_whole(encoders, folder, monkeypatch):
    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("avssl.models.encoder_io.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        build_encoders(ModelConfig(), FEATURES).save(folder)
    assert Encoders.from_pretrained(folder).fingerprint() == encoders.fingerprint()
    assert len(list(folder.iterdir())) == 3


def test_the_fingerprint_follows_weights_statistics_and_configuration(encoders, folder):
    def changed(edit):
        found = Encoders.from_pretrained(folder)
        edit(found)
        return found.fingerprint()

    prints = {
        encoders.fingerprint(),
        changed(lambda found: found.audio.tower.out.weight.data[0, 0].add_(1e-6)),
        changed(lambda found: found.features.mean[3].add_(1e-3)),
        changed(lambda found: setattr(found, "feature_config", FeatureConfig(name="foa-iv", mels=64, top_db=80))),
    }
    assert len(prints) == 4
    assert changed(lambda found: None) in prints


def test_the_model_card_and_its_numbers(encoders, folder):
    card, config = (folder / "README.md").read_text(), json.loads((folder / "config.json").read_text())
    assert config["model"] == asdict(ModelConfig())
    assert config["features"] == asdict(FEATURES)
    assert config["video"]["parameters"] == sum(each.numel() for each in encoders.video.parameters())
    assert f"{config['video']['parameters']:,}" in card
    for message in ("24000 Hz", "`foa-iv`", "W, Y, Z, X", "avsa", "0.1235", "Encoders.from_pretrained", "Apache-2.0"):
        assert message in card


def test_the_card_lists_stereo_input_where_supported(tmp_path):
    for name, message in (("stereo-phase", True), ("foa-iv", False)):
        Encoders(ModelConfig(), FeatureConfig(name=name)).save(tmp_path / name)
        assert ("left and right, are accepted" in (tmp_path / name / "README.md").read_text()) is message


def test_the_code_of_the_model_card_runs(encoders, folder):
    code = (folder / "README.md").read_text().split("```python")[1].split("```")[0]
    names = {"audio": waveforms(4, 24000), "frames": frames(1, 3, 64, 64)}
    with torch.no_grad():
        exec(code.replace("path/to/this/folder", str(folder)), names)
        assert torch.equal(names["audio_embedding"], encoders.audio(names["audio"]))


def test_a_missing_or_empty_folder_is_an_error(tmp_path):
    for path, message in ((tmp_path / "none", "is not a folder"), (tmp_path, "has no config.json")):
        with pytest.raises(ValueError, match=message) as caught:
            Encoders.from_pretrained(path)
        assert str(path) in str(caught.value)


def test_missing_weights_are_an_error(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors: .* got none"):
        Encoders.from_pretrained(folder)


@pytest.mark.parametrize("keep", [0, 4, 100, 100_000])
def test_truncated_weights_are_a_one_line_error(folder, keep):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="expected a complete safetensors file") as caught:
        Encoders.from_pretrained(folder)
    assert "\n" not in str(caught.value)


def test_a_pickle_named_as_weights_is_an_error(folder):
    torch.save({"weight": torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match="expected a complete safetensors file"):
        Encoders.from_pretrained(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected encoders in JSON, cannot be read"),
        ("[1]", "expected encoders of avssl"),
        ('{"architectures": ["BertModel"]}', "expected encoders of avssl"),
        ('{"format": "avssl-encoders", "version": 1}', "made by an older avssl .* train again"),
        ('{"format": "avssl-encoders", "version": 99}', "made by a newer avssl .* update avssl"),
    ],
)
def test_a_foreign_config_is_an_error(folder, text, message):
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        Encoders.from_pretrained(folder)
    assert "config.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_keys_and_missing_sections_of_a_config_are_errors(folder):
    edit(folder, features={"nme": "foa-iv"})
    with pytest.raises(ValueError, match=r"config\.json: unknown key 'nme'"):
        Encoders.from_pretrained(folder)
    edit(folder, features=None)
    with pytest.raises(ValueError, match=r"config\.json: .*features"):
        Encoders.from_pretrained(folder)


def test_another_convention_is_an_error(folder):
    edit(folder, convention="fuma")
    with pytest.raises(ValueError, match="fuma"):
        Encoders.from_pretrained(folder)


def test_weights_of_other_shapes_or_names_are_errors(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"audio.tower.out.bias": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"audio\.tower\.out\.bias \(3,\) instead of \(\d+,\)"):
        Encoders.from_pretrained(folder)
    save_file(tensors | {"audio.tower.more": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"has unexpected audio\.tower\.more"):
        Encoders.from_pretrained(folder)
    save_file({name: tensor for name, tensor in tensors.items() if name != "audio.features.mean"}, path)
    with pytest.raises(ValueError, match=r"lacks audio\.features\.mean"):
        Encoders.from_pretrained(folder)


def test_a_run_can_start_from_saved_encoders(encoders, folder, tmp_path):
    started = build_encoders(ModelConfig(init=str(folder)), FEATURES)
    assert started.training
    assert started.fingerprint() == encoders.fingerprint()
    started.save(tmp_path / "again")
    (folder / "config.json").unlink()
    assert Encoders.from_pretrained(tmp_path / "again").fingerprint() == encoders.fingerprint()


def test_encoders_of_another_configuration_are_an_error(folder):
    with pytest.raises(ValueError, match="foa-logmel"):
        build_encoders(ModelConfig(init=str(folder)), FeatureConfig(name="foa-logmel", mels=64))
    with pytest.raises(ValueError, match="avsa"):
        build_encoders(ModelConfig(preset="avsa", init=str(folder)), FEATURES)


@pytest.mark.heavy
def test_importing_the_package_does_not_import_torch():
    import subprocess
    import sys

    code = "import sys, avssl.models as m; assert 'torch' not in sys.modules; m.Encoders; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
