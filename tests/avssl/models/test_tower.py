"""Feature maps of towers keep positions in frames, and time and band in audio."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avssl.config import FeatureConfig, ModelConfig
from avssl.models.backbones import video_backbone
from avssl.models.encoders import Encoders
from avssl.models.small import SmallAudio, SmallVideo
from avssl.models.tower import Tower, pooling_tensors
from avssl.models.tower_factory import audio_tower, video_tower

TOWERS = {
    "small": ModelConfig(),
    "avsa": ModelConfig(preset="avsa"),
    "resnet": ModelConfig(video="torchvision/resnet18", audio="torchvision/resnet18"),
    "mobilenet": ModelConfig(video="torchvision/mobilenet_v3_small", audio="torchvision/mobilenet_v3_small"),
    "timm": ModelConfig(video="timm/convnext_atto", audio="timm/convnext_atto"),
}
CLIPS = ModelConfig(video="torchvision/r3d_18")


def centre(change: Tensor, axis: int) -> float:
    """Position of a change along an axis, in 0..1."""
    weight = change.square().movedim(axis, -1).flatten(0, -2).sum(0)
    place = (torch.arange(len(weight)) + 0.5) / len(weight)
    return float((weight * place).sum() / weight.sum())


def seen(tower: torch.nn.Module, row: int, column: int, size: int) -> Tensor:
    """Change of the feature maps by a bright spot in an image of 4 x 6 cells."""
    blank = torch.zeros(1, 3, 2, 4 * size, 6 * size)
    spot = blank.clone()
    spot[..., row * size : (row + 1) * size, column * size : (column + 1) * size] = 2
    with torch.no_grad():
        return tower.eval().maps(spot) - tower.maps(blank)


@pytest.mark.parametrize(
    ("name", "size"), [("small", 32), ("avsa", 12), ("resnet", 32), ("mobilenet", 32), ("timm", 32), ("clips", 12)]
)
def test_visual_maps_localize_a_spot(name, size):
    torch.manual_seed(0)
    tower = video_tower(TOWERS.get(name, CLIPS))
    left, right = (centre(seen(tower, 1, column, size), 4) for column in (0, 5))
    assert left < 0.42 < 0.58 < right
    top, bottom = (centre(seen(tower, row, 2, size), 3) for row in (0, 3))
    assert top < 0.45 < 0.55 < bottom


@pytest.mark.parametrize("name", TOWERS)
def test_audio_maps_localize_a_tone_in_time_and_band(name):
    torch.manual_seed(0)
    tower = audio_tower(TOWERS[name], 6).eval()
    blank = torch.zeros(1, 6, 192, 128)
    found = []
    for time, bands in (
        (slice(8, 40), slice(48, 80)),
        (slice(152, 184), slice(48, 80)),
        (slice(80, 112), slice(0, 24)),
    ):
        spot = blank.clone()
        spot[..., time, bands] = 2
        with torch.no_grad():
            found.append(tower.maps(spot) - tower.maps(blank))
    early, late, low = found
    assert centre(early, 2) < 0.42 < 0.58 < centre(late, 2)
    assert centre(low, 3) < 0.45


@pytest.mark.parametrize("name", [*TOWERS, "clips"])
def test_an_embedding_is_the_same_with_its_maps_and_without(name):
    torch.manual_seed(0)
    tower, x = video_tower(TOWERS.get(name, CLIPS)).eval(), torch.randn(2, 3, 4, 64, 96)
    with torch.no_grad():
        assert torch.equal(tower.forward_features(x).embedding, tower(x))


def test_the_maximum_or_mean_of_the_maps_is_the_embedding():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 64, 96)
    with torch.no_grad():
        embedding, maps = video_tower(TOWERS["avsa"]).eval().forward_features(x)
        torch.testing.assert_close(embedding, maps.amax((2, 3, 4)))
        embedding, maps = video_tower(TOWERS["resnet"]).eval().forward_features(x)
        torch.testing.assert_close(embedding, maps.mean((2, 3, 4)))


def test_published_towers_give_the_papers_maps_of_their_frames():
    with torch.no_grad():
        for config, time in ((TOWERS["resnet"], 18), (TOWERS["avsa"], 3)):
            maps = Encoders(config, FeatureConfig()).eval().video.maps(torch.zeros(1, 18, 3, 32, 32, dtype=torch.uint8))
            assert maps.shape[:3] == (1, 512, time)


def test_maps_of_networks_without_pooling_are_a_one_line_error():
    tower = video_backbone("timm/vit_tiny_patch16_224").eval()
    with pytest.raises(ValueError, match="adaptive pooling") as caught:
        tower.maps(torch.zeros(1, 3, 1, 64, 64))
    assert "\n" not in str(caught.value)
    assert tower(torch.zeros(1, 3, 1, 64, 64)).shape == (1, tower.width)


@pytest.mark.parametrize(("tower", "size"), [(SmallVideo(), (3, 2, 32, 32)), (SmallAudio(4), (4, 32, 64))])
def test_maps_need_no_pooling_layer_and_embeddings_need_all(tower: Tower, size: tuple[int, ...]) -> None:
    names, x = pooling_tensors(tower), torch.randn(2, *size)
    expected = tower.eval().maps(x)
    state = tower.state_dict()
    for name in (name for name in names if state[name].is_floating_point()):
        spoiled = {name: torch.full_like(state[name], torch.nan)}
        tower.load_state_dict({**state, **spoiled})
        assert torch.equal(tower.maps(x), expected)
        assert tower(x).isnan().any()
    tower.load_state_dict(state)
    assert {name.split(".")[0] for name in state.keys() - names} <= {"stages", "difference"}
