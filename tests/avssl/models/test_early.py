"""What towers have made of spectra early on."""

import pytest
import torch

from avssl.models.backbones import audio_backbone
from avssl.models.conv2d import Conv2D10
from avssl.models.early import early_maps, over_time
from avssl.models.small import SmallAudio

SPECTRA = torch.randn(2, 4, 50, 64, generator=torch.Generator().manual_seed(0))


def test_early_are_the_maps_of_the_first_block():
    small, published = SmallAudio(4).eval(), Conv2D10(4).eval()
    with torch.no_grad():
        assert torch.equal(early_maps(small, SPECTRA), small.stages[:4](SPECTRA))
        assert torch.equal(early_maps(published, SPECTRA), published.block1(published.conv1(SPECTRA)))


@pytest.mark.parametrize("name", ["torchvision/resnet18", "timm/resnet18"])
def test_of_a_resnet_they_are_those_of_its_first_layers_first_block(name):
    tower = audio_backbone(name, 4).eval()
    taken = []
    tower.network.layer1[0].register_forward_hook(lambda *given: taken.append(given[-1]))
    with torch.no_grad():
        assert torch.equal(early_maps(tower, SPECTRA), taken[0])


@pytest.mark.parametrize("name", ["torchvision/mobilenet_v3_small", "timm/mobilenetv3_small_100"])
def test_of_a_mobilenet_they_still_have_time_and_frequency_and_no_hook_is_left(name):
    tower = audio_backbone(name, 4).eval()
    with torch.no_grad():
        maps = early_maps(tower, SPECTRA)
    assert maps.shape[0] == 2
    assert min(maps.shape[2:]) > 4
    assert not any(module._forward_hooks for module in tower.modules())


def test_a_tower_of_tokens_has_no_maps():
    with pytest.raises(ValueError, match="give no maps: take its embedding"):
        early_maps(audio_backbone("timm/vit_tiny_patch16_224", 4).eval(), SPECTRA)


def test_time_is_pooled_away_and_bands_stay():
    maps = torch.zeros(1, 2, 5, 16)
    maps[0, 0, 2, 4:6], maps[0, 1, :, 15] = 5.0, 1.0
    mean, most = over_time(maps, 8).reshape(2, 2, 8)
    wanted = torch.zeros(2, 2, 8)
    wanted[0, 0, 2], wanted[1, 0, 2], wanted[:, 1, 7] = 1.0, 5.0, 0.5
    torch.testing.assert_close(torch.stack([mean, most]), wanted)
