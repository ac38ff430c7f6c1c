"""Towers: parameters of AVSA's, position and motion in the small preset, backbones by name."""

import pytest
import torch
from torch import nn

from avssl.config import ModelConfig
from avssl.models.backbones import audio_backbone, video_backbone
from avssl.models.conv2d import Conv2D10
from avssl.models.r2plus1d import R2Plus1D
from avssl.models.small import SmallAudio, SmallVideo
from avssl.models.tower_factory import audio_tower, video_tower


def parameters(module):
    return sum(each.numel() for each in module.parameters())


def shapes(tower, names, x):
    """Shape after each named child, without the batch."""
    found = {}
    for name in names:
        tower.get_submodule(name).register_forward_hook(
            lambda module, args, out, name=name: found.__setitem__(name, tuple(out.shape[1:]))
        )
    with torch.no_grad():
        found["out"] = tuple(tower.eval()(x).shape)
    return found


def test_video_tower_has_the_published_number_of_parameters():
    assert parameters(R2Plus1D()) == 15_379_136


@pytest.mark.parametrize(("maps", "count"), [(1, 4_725_696), (4, 4_735_104), (7, 4_744_512)])
def test_audio_tower_has_the_published_number_of_parameters(maps, count):
    assert parameters(Conv2D10(maps)) == count


def test_video_tower_has_the_published_names():
    parts = ["spt_conv1", "spt_bn1", "tmp_conv1", "tmp_bn1", "spt_conv2", "spt_bn2", "tmp_conv2", "out_bn"]
    weights = {f"conv{stage}x.{block}.{part}.weight" for stage in (2, 3, 4, 5) for block in (0, 1) for part in parts}
    weights |= {f"conv{stage}x.0.res_conv.weight" for stage in (3, 4, 5)} | {"conv1.0.weight", "conv1.1.weight"}
    names = R2Plus1D().state_dict().keys()
    assert {name for name in names if name.endswith("weight")} == weights
    assert {name.rpartition(".")[0] for name in names} == {name.rpartition(".")[0] for name in weights}


def test_audio_tower_has_the_published_names():
    parts = ["conv1", "bn1", "conv2", "bn2"]
    weights = {f"block{block}.{part}.weight" for block in (1, 2, 3, 4) for part in parts}
    weights |= {"conv1.0.weight", "conv1.1.weight"}
    names = Conv2D10(4).state_dict().keys()
    assert {name for name in names if name.endswith("weight")} == weights
    assert {name.rpartition(".")[0] for name in names} == {name.rpartition(".")[0] for name in weights}


def test_video_tower_activations_have_the_published_shapes():
    stages = ["conv1", "conv2x", "conv3x", "conv4x", "conv5x"]
    assert shapes(R2Plus1D(), stages, torch.zeros(1, 3, 8, 112, 112)) == {
        "conv1": (64, 8, 56, 56),
        "conv2x": (64, 8, 56, 56),
        "conv3x": (128, 4, 28, 28),
        "conv4x": (256, 2, 14, 14),
        "conv5x": (512, 1, 7, 7),
        "out": (1, 512),
    }


def test_audio_tower_activations_have_the_published_shapes():
    stages = ["conv1", "block1", "block2", "block3", "block4"]
    assert shapes(Conv2D10(4), stages, torch.zeros(1, 4, 100, 128)) == {
        "conv1": (64, 50, 64),
        "block1": (64, 50, 64),
        "block2": (128, 25, 32),
        "block3": (256, 13, 16),
        "block4": (512, 13, 16),
        "out": (1, 512),
    }


def test_published_block_adds_its_shortcut_before_the_last_norm():
    block = R2Plus1D().conv3x[0].eval()
    nn.init.zeros_(block.tmp_conv2.weight)
    x = torch.randn(1, 64, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    # Without its residual path a block in evaluation mode, norm at rest, is the rectified strided 1 x 1 convolution.
    pixels = x[:, :, ::2, ::2, ::2].movedim(1, -1) @ block.res_conv.weight.flatten(1).T
    expected = (pixels / (1 + block.out_bn.eps) ** 0.5).clamp(min=0).movedim(-1, 1)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (112, 112), (48, 80)])
@pytest.mark.parametrize("time", [1, 2, 8])
def test_small_video_takes_any_size_and_length(size, time):
    tower = SmallVideo()
    embedding = tower(torch.randn(2, 3, time, *size))
    assert embedding.shape == (2, tower.width)
    embedding.square().sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in tower.parameters())


@pytest.mark.parametrize("size", [(50, 64), (100, 128), (33, 40), (17, 64)])
@pytest.mark.parametrize("maps", [1, 2, 4, 7])
def test_small_audio_takes_any_spectrum(size, maps):
    tower = SmallAudio(maps)
    embedding = tower(torch.randn(2, maps, *size))
    assert embedding.shape == (2, tower.width)
    embedding.square().sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in tower.parameters())


def ridge_error(train, targets, test, truth):
    """Squared error of ridge regression relative to the targets' variance."""
    centre = train.mean(0)
    x, y = (train - centre).double(), (targets - targets.mean(0)).double()
    weights = torch.linalg.solve(x.T @ x + 1e-3 * len(x) * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)
    guess = (test - centre).double() @ weights + targets.mean(0)
    return ((guess - truth) ** 2).mean().item() / targets.var().item()


def spots(count, seed, noise=0.1):
    """Images of a bright spot on noise, and its position in -1..1."""
    generator = torch.Generator().manual_seed(seed)
    where = 1.6 * torch.rand(count, 2, generator=generator) - 0.8
    line = torch.linspace(-1, 1, 64)
    distance = (line[None, :, None] - where[:, 1, None, None]) ** 2 + (line[None, None] - where[:, 0, None, None]) ** 2
    frames = noise * torch.randn(count, 3, 1, 64, 64, generator=generator)
    return frames + 2 * torch.exp(-distance / 0.02)[:, None, None], where


def error_of_places(grid):
    """Relative error of the spot position from untrained embeddings: 0 exact, 1 chance."""
    torch.manual_seed(0)
    tower = SmallVideo(grid=grid)
    (seen, known), (unseen, truth) = spots(600, 1), spots(200, 2)
    with torch.no_grad():
        tower(seen[:100])
        tower.eval()
        return ridge_error(tower(seen), known, tower(unseen), truth)


@pytest.mark.heavy
def test_untrained_small_video_encodes_position():
    assert error_of_places(SmallVideo().grid) < 0.25 < 0.5 < error_of_places(1)


def test_small_video_depends_on_the_order_of_frames():
    torch.manual_seed(0)
    tower = SmallVideo().eval()
    clip = torch.randn(1, 3, 4, 64, 64)
    assert not torch.allclose(tower(clip), tower(clip.flip(2)), atol=1e-3)


def bars(count, seed, frames):
    """Clips of a bar that moves left or right by a few columns a frame, and its direction."""
    generator = torch.Generator().manual_seed(seed)
    way = 2.0 * torch.randint(0, 2, (count,), generator=generator) - 1
    speed = 2 + 2 * torch.rand(count, generator=generator)
    steps = torch.arange(frames) - (frames - 1) / 2
    middle = 32 + 12 * (torch.rand(count, generator=generator) - 0.5)
    columns = middle[:, None] + (way * speed)[:, None] * steps
    clips = 1.0 * ((torch.arange(64) - columns[..., None]).abs() < 3)
    return clips[:, None, :, None].expand(-1, 3, -1, 64, -1).contiguous(), way[:, None]


def error_of_ways(frames):
    """Relative error of the direction of motion from untrained embeddings of 300 clips: 0 exact, 1 chance."""
    torch.manual_seed(0)
    tower = SmallVideo()
    (seen, known), (unseen, truth) = bars(300, 1, frames), bars(100, 2, frames)
    with torch.no_grad():
        tower(seen[:100])
        tower.eval()
        return ridge_error(tower(seen), known, tower(unseen), truth)


@pytest.mark.heavy
def test_untrained_small_video_encodes_direction_of_motion():
    assert error_of_ways(4) < 0.25 < 0.9 < error_of_ways(1)


def test_small_video_of_repeated_frames_equals_one_frame_up_to_motion():
    torch.manual_seed(0)
    tower = SmallVideo().eval()
    image, other = torch.randn(2, 3, 1, 64, 64), torch.randn(2, 3, 1, 64, 64)
    once = tower.forward_features(image).maps
    nn.init.normal_(tower.difference.weight)
    assert torch.equal(tower.forward_features(image).maps, once)
    again = tower.forward_features(image.expand(-1, -1, 3, -1, -1)).maps
    torch.testing.assert_close(again, once.expand_as(again))
    moved = tower.forward_features(torch.cat([image, other], 2)).maps
    assert (moved[:, :, :1] - once).abs().max() > 0.1


def test_small_audio_keeps_frequency_bands_separate():
    torch.manual_seed(0)
    tower = SmallAudio(1).eval()
    low, high = torch.zeros(1, 1, 50, 64), torch.zeros(1, 1, 50, 64)
    low[..., 8:16], high[..., 40:48] = 1.0, 1.0
    assert (tower(low) - tower(high)).abs().max() > 0.05


@pytest.mark.parametrize(
    "name", ["torchvision/resnet18", "torchvision/convnext_tiny", "timm/resnet18.a1_in1k", "timm/vit_tiny_patch16_224"]
)
def test_image_backbones_are_averaged_over_time(name):
    torch.manual_seed(0)
    tower = video_backbone(name).eval()
    clip = torch.randn(2, 3, 3, 64, 80)
    with torch.no_grad():
        each = torch.stack([tower(clip[:, :, [index]]) for index in range(3)])
        torch.testing.assert_close(tower(clip), each.mean(0), rtol=1e-3, atol=1e-4)
    assert each.shape[-1] == tower.width


@pytest.mark.parametrize("name", ["torchvision/r3d_18", "torchvision/r2plus1d_18", "torchvision/mc3_18"])
def test_video_backbones_give_one_embedding_a_clip(name):
    tower = video_backbone(name).eval()
    with torch.no_grad():
        assert tower(torch.randn(2, 3, 4, 64, 64)).shape == (2, tower.width) == (2, 512)


@pytest.mark.parametrize(
    "name",
    [
        "torchvision/resnet18",
        "torchvision/mobilenet_v3_small",
        "torchvision/vgg11",
        "timm/resnet18",
        "timm/mobilenetv3_small_100",
    ],
)
def test_audio_backbones_take_the_feature_maps(name):
    tower = audio_backbone(name, 7).eval()
    with torch.no_grad():
        assert tower(torch.randn(2, 7, 100, 128)).shape == (2, tower.width)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("torchvision/resnet81", "did you mean 'resnet18'"),
        ("timm/resnet18q.a1", "timm.list_models"),
        ("torchvison/resnet18", "did you mean 'torchvision'"),
        ("resnet18", "torchvision/NAME or timm/NAME"),
        ("torchvision/squeezenet1_0", "ends in a linear layer"),
        ("torchvision/vit_b_16", "got 'vit_b_16'"),
    ],
)
def test_unknown_backbones_are_errors_with_a_hint(name, expected):
    with pytest.raises(ValueError, match=expected):
        video_backbone(name)


def test_a_video_network_is_no_audio_backbone():
    with pytest.raises(ValueError, match="expected an image network for audio"):
        audio_backbone("torchvision/r3d_18", 4)


@pytest.mark.parametrize("build", [video_tower, lambda config: audio_tower(config, 4)])
def test_unknown_presets_are_errors_with_a_hint(build):
    with pytest.raises(ValueError, match="did you mean 'small'"):
        build(ModelConfig(preset="smal"))


def test_convolution_weights_are_channels_last():
    audio, video = audio_tower(ModelConfig(preset="avsa"), 4), video_tower(ModelConfig(preset="avsa"))
    assert audio.block2.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert video.conv3x[0].spt_conv1.weight.is_contiguous(memory_format=torch.channels_last_3d)


SPECTRA = torch.randn(2, 4, 50, 64, generator=torch.Generator().manual_seed(0))


def test_early_maps_are_those_of_the_first_block():
    small, published = SmallAudio(4).eval(), Conv2D10(4).eval()
    with torch.no_grad():
        assert torch.equal(small.early(SPECTRA), small.stages[:4](SPECTRA))
        assert small.early(SPECTRA).shape == (2, 32, 13, 16)
        assert torch.equal(published.early(SPECTRA), published.block1(published.conv1(SPECTRA)))
        assert published.early(SPECTRA).shape == (2, 64, 25, 32)


@pytest.mark.parametrize("name", ["torchvision/resnet18", "timm/resnet18"])
def test_early_maps_of_a_resnet_are_those_of_its_first_block(name):
    tower = audio_backbone(name, 4).eval()
    taken = []
    tower.network.layer1[0].register_forward_hook(lambda *given: taken.append(given[-1]))
    with torch.no_grad():
        assert torch.equal(tower.early(SPECTRA), taken[0])


@pytest.mark.parametrize(
    "name", ["torchvision/mobilenet_v3_small", "timm/mobilenetv3_small_100", "torchvision/convnext_tiny"]
)
def test_early_maps_of_other_cnns_have_time_first_and_leave_no_hook(name):
    tower = audio_backbone(name, 4).eval()
    with torch.no_grad():
        square, long = (tower.early(each).shape for each in (SPECTRA[..., :50, :50], SPECTRA))
    assert square[:3] == long[:3]
    assert square[2] == square[3] < long[3]
    assert not any(module._forward_hooks for module in tower.modules())


@pytest.mark.parametrize("name", ["timm/vit_tiny_patch16_224", "torchvision/swin_t", "torchvision/vgg11"])
def test_networks_without_early_maps_are_an_error(name):
    with pytest.raises(ValueError, match="early feature maps, got .*; use layer=embedding"):
        audio_backbone(name, 4).eval().early(SPECTRA)
    with pytest.raises(ValueError, match="early feature maps"):
        SmallVideo().early(torch.zeros(1, 3, 1, 64, 64))
