import pytest
import torch

from avssl.config import FeatureConfig, ModelConfig
from avssl.hear import get_scene_embeddings, get_timestamp_embeddings, load_model
from avssl.models.encoders import Encoders
from avssl.models.geometry import InputGeometry
from avssl.spatial.resample import resample

ACCEPTED = (16000, 22050, 44100, 48000)
"""HEAR's sample rates, as its validator lists them."""


def saved(folder, features="foa-iv", rate=16000, geometry=None):
    torch.manual_seed(3)
    Encoders(ModelConfig(), FeatureConfig(features, sample_rate=rate, n_fft=256, hop=160, mels=32), geometry).save(
        folder
    )
    return str(folder)


@pytest.mark.parametrize("features", ["foa-iv", "mono-logmel", "stereo-logmel", "beam-ratio"])
def test_the_rules_of_the_interface_hold(tmp_path, features):
    model = load_model(saved(tmp_path, features, 24000), seconds=0.3)
    assert isinstance(model, torch.nn.Module)
    assert model.sample_rate in ACCEPTED
    assert isinstance(model.scene_embedding_size, int)
    assert isinstance(model.timestamp_embedding_size, int)
    audio = 2 * torch.rand(3, int(0.37 * model.sample_rate)) - 1
    scenes = get_scene_embeddings(audio, model)
    assert scenes.shape == (3, model.scene_embedding_size)
    assert scenes.dtype == torch.float32
    embeddings, stamps = get_timestamp_embeddings(audio, model)
    assert embeddings.shape == (*stamps.shape, model.timestamp_embedding_size)
    assert embeddings.dtype == torch.float32
    assert stamps.shape[0] == 3
    assert torch.allclose(stamps.diff(), torch.full_like(stamps.diff(), 50.0), atol=1e-3)
    assert stamps[:, 0].tolist() == [0.0] * 3
    assert stamps.max() <= 370
    assert not embeddings.requires_grad
    assert not scenes.requires_grad
    alone = get_scene_embeddings(audio[1:2], model)  # a sound does not depend on the others, but for rounding
    torch.testing.assert_close(alone, scenes[1:2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("rate", "asked"), [(8000, 16000), (16000, 16000), (24000, 48000), (32000, 48000)])
def test_audio_comes_at_a_rate_of_hear_and_is_resampled(tmp_path, rate, asked):
    model = load_model(saved(tmp_path, rate=rate), seconds=0.3)
    assert model.sample_rate == asked
    audio = torch.rand(1, round(0.3 * asked)) - 0.5
    field = torch.zeros(1, 4, round(0.3 * rate))
    field[:, 0] = resample(audio, asked, rate)
    expected = Encoders.from_pretrained(tmp_path).audio(field)
    assert torch.allclose(get_scene_embeddings(audio, model), expected.detach(), atol=1e-5)


def test_a_timestamp_is_the_centre_of_its_window(tmp_path):
    model = load_model(saved(tmp_path), seconds=0.2, hop=40.0)
    audio = torch.rand(2, 16000) - 0.5
    embeddings, stamps = get_timestamp_embeddings(audio, model)
    at = stamps[0].tolist().index(480.0)
    field = torch.zeros(2, 4, 3200)
    field[:, 0] = audio[:, 7680 - 1600 : 7680 + 1600]
    expected = Encoders.from_pretrained(tmp_path).audio(field)
    assert torch.allclose(embeddings[:, at], expected.detach(), atol=1e-5)


def test_a_scene_is_the_mean_of_its_windows(tmp_path):
    model = load_model(saved(tmp_path), seconds=0.2)
    audio = torch.rand(1, 4800) - 0.5
    parts = torch.cat([get_scene_embeddings(audio[:, at : at + 3200], model) for at in (0, 1600)])
    assert torch.allclose(get_scene_embeddings(audio, model), parts.mean(0, keepdim=True), atol=1e-5)


def test_invalid_models_and_audio_are_errors(tmp_path):
    with pytest.raises(ValueError, match="path of encoders"):
        load_model()
    model = load_model(saved(tmp_path), seconds=1.0)
    with pytest.raises(ValueError, match=r"\(clips, samples\), got \(2, 1, 100\)"):
        get_scene_embeddings(torch.zeros(2, 1, 100), model)
    with pytest.raises(ValueError, match="load_model, got Linear"):
        get_timestamp_embeddings(torch.zeros(1, 100), torch.nn.Linear(1, 1))
    with pytest.raises(ValueError, match="hop > 0"):
        load_model(str(tmp_path), seconds=1.0, hop=0.0)


def test_windows_are_as_long_as_those_of_the_training(tmp_path):
    model = load_model(saved(tmp_path / "own", geometry=InputGeometry(0.4, 8, 16.0)))
    assert model.samples == round(0.4 * 16000)
    assert load_model(str(tmp_path / "own"), seconds=0.2).samples == round(0.2 * 16000)
    with pytest.raises(ValueError, match=r"set seconds=\.\.\., or pretrain them again") as caught:
        load_model(saved(tmp_path / "old"))
    assert "\n" not in str(caught.value)
