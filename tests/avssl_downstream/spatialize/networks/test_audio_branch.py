"""Audio branches: the encoders' own maps at the same time, what is trained, what does not fit."""

from __future__ import annotations

import pytest
import torch
from avssl_downstream.spatialize.networks.audio_branch import AudioBranch, resample_steps
from torch import Tensor

from avssl.config import FeatureConfig, ModelConfig
from avssl.models.encoders import Encoders
from avssl.spatial.resample import resample

RATE, SECONDS = 24000, 1.0


def make(name: str = "mono-logmel", **model: str) -> Encoders:
    torch.manual_seed(0)
    return Encoders(ModelConfig(**model), FeatureConfig(name, mels=64)).eval()


@pytest.fixture(scope="module")
def encoders() -> Encoders:
    found = make()
    found.fit_features([noise()])
    return found


def noise(rate: int = RATE, seconds: float = SECONDS, channels: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(2, channels, round(rate * seconds), generator=generator)


def branch(encoders: Encoders | None, source: str = "encoders", rate: int = RATE, **settings: int) -> AudioBranch:
    torch.manual_seed(1)
    return AudioBranch(source, encoders, settings.pop("channels", 1), rate, SECONDS, **settings).eval()


def test_maps_are_the_encoders_own_bit_for_bit(encoders):
    with torch.no_grad():
        maps = branch(encoders).maps(noise())
    assert torch.equal(maps, encoders.audio.forward_features(noise()).maps)
    assert torch.equal(maps, encoders.audio.maps(noise()))


def test_a_window_of_another_rate_has_the_maps_of_the_same_sound(encoders):
    whole = noise()
    # Below the band edge of the lower rate, where both filters pass everything.
    low = torch.fft.rfft(whole)
    low[..., 5000:] = 0
    whole = torch.fft.irfft(low, whole.shape[-1])
    slow = torch.stack([resample(each, RATE, 16000) for each in whole])
    with torch.no_grad():
        found, expected = branch(encoders, rate=16000).maps(slow), encoders.audio.maps(whole)
    inside = slice(1, -1)  # a window is silent beyond its ends
    error = (found - expected)[:, :, inside].square().mean() / expected[:, :, inside].square().mean()
    assert found.shape == expected.shape
    assert float(error) < 1e-2


def test_features_at_a_step_are_those_of_the_sound_at_that_time(encoders):
    """A click changes the features of its own time, whatever the number of steps that they are resampled to."""
    quiet, click = noise(), noise()
    click[..., 18000:18240] += 1.0
    with torch.no_grad():
        change = (branch(encoders)(click) - branch(encoders)(quiet)).abs().sum(1)
    for steps in (3, 6, 50):
        course = resample_steps(change[:, None], steps)[:, 0]
        assert (course.argmax(-1) + 0.5).div(steps).tolist() == pytest.approx([0.75, 0.75], abs=0.11 + 0.5 / steps)


def test_resampled_steps_are_linear_or_means():
    ramp = (torch.arange(4.0) + 0.5)[None, None] / 4
    torch.testing.assert_close(resample_steps(ramp, 8)[0, 0, 1:-1], (torch.arange(1.0, 7.0) + 0.5) / 8)
    torch.testing.assert_close(resample_steps(ramp, 2)[0, 0], torch.tensor([0.25, 0.75]))
    assert torch.equal(resample_steps(ramp, 4), ramp)


def test_a_sound_field_goes_to_a_tower_of_four_channels_and_its_first_to_one_of_one(encoders):
    with torch.no_grad():
        field = noise(channels=4)
        iv = make("foa-iv")
        assert torch.equal(branch(iv, channels=4).maps(field), iv.audio.maps(field))
        assert torch.equal(branch(encoders, channels=4)(field), branch(encoders)(field[:, :1]))
        assert torch.equal(branch(encoders)(field[:, 0]), branch(encoders)(field[:, :1]))


def test_training_leaves_the_encoders_as_they_are_and_trained_weights_have_gradients(encoders):
    before, made = encoders.fingerprint(), branch(encoders).train()
    made(noise()).square().sum().backward()
    trained = {name: each for name, each in made.named_parameters() if each.requires_grad}
    assert all(each.grad is not None for each in trained.values())
    assert {"network.tower.stages.0.weight", "projection.weight"} <= trained.keys()
    assert "network.tower.out.weight" not in trained  # pooling and embedding come after the maps
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(1)
    assert encoders.fingerprint() == before


def test_a_branch_that_is_not_tuned_trains_its_projection_alone(encoders):
    made = branch(encoders, fine_tune=False).train()
    before = {name: each.clone() for name, each in made.network.state_dict().items()}
    made(noise()).sum().backward()
    assert not made.network.training
    assert {name.split(".")[0] for name, each in made.named_parameters() if each.requires_grad} == {
        "norm",
        "projection",
    }
    assert all(torch.equal(each, before[name]) for name, each in made.network.state_dict().items())


def test_scratch_is_the_encoders_network_and_statistics_with_new_weights(encoders):
    scratch, pretrained = branch(encoders, "scratch"), branch(encoders)
    shapes = [{name: each.shape for name, each in each.state_dict().items()} for each in (scratch, pretrained)]
    assert shapes[0] == shapes[1]
    assert torch.equal(scratch.network.features.mean, encoders.features.mean)
    with torch.no_grad():
        assert not torch.allclose(scratch.maps(noise()), pretrained.maps(noise()))
    assert branch(make("foa-iv"), "scratch").network.features.name == "mono-logmel"
    assert branch(None, "scratch", channels=4).network.features.name == "foa-iv"


def test_towers_of_other_libraries_have_their_maps(encoders):
    resnet = make(audio="timm/resnet18")
    with torch.no_grad():
        made = branch(resnet)
        assert torch.equal(made.maps(noise()), resnet.audio.maps(noise()))
        assert made(noise()).shape == (2, made.width, 4)


def test_what_does_not_fit_is_one_line(encoders):
    for settings, said in (
        (
            {"encoders": make("foa-iv")},
            "expected encoders whose features take 1 channel.s., such as mono-logmel, got foa-iv",
        ),
        ({"encoders": None}, "audio_branch=encoders needs the encoders of a pretraining run"),
        ({"encoders": encoders, "source": "encoder"}, "expected audio_branch encoders, scratch or none, got 'encoder'"),
        ({"encoders": make(audio="timm/vit_tiny_patch16_224")}, "adaptive pooling"),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            branch(**settings)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="expected windows of at least 512 samples"):
        AudioBranch("encoders", encoders, 1, RATE, 0.01)
