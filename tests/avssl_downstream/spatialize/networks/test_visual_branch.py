"""Visual branches: pretrained, of libraries, or random; feature maps, trained parameters, errors."""

from __future__ import annotations

import pytest
import torch
import torchvision
from avssl_downstream.spatialize.networks.resnet_trunk import ResNetTrunk
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch
from safetensors.torch import save_file
from torch import Tensor, nn

from avssl.config import FeatureConfig, ModelConfig
from avssl.models.encoders import Encoders


@pytest.fixture(scope="module")
def encoders() -> Encoders:
    torch.manual_seed(0)
    return Encoders(ModelConfig(), FeatureConfig())


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.resnet18().eval()


def frames(time: int = 2, height: int = 64, width: int = 96) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, time, 3, height, width), dtype=torch.uint8, generator=generator)


def test_pretrained_maps_are_those_of_the_encoders(encoders):
    branch = VisualBranch("encoders", encoders).eval()
    with torch.no_grad():
        torch.testing.assert_close(branch(frames()), encoders.eval().video.maps(frames()))


def test_training_a_branch_leaves_the_encoders_as_they_are(encoders):
    before = encoders.fingerprint()
    branch = VisualBranch("encoders", encoders)
    branch(frames()).sum().backward()
    with torch.no_grad():
        for parameter in branch.parameters():
            parameter.add_(1)
    assert encoders.fingerprint() == before


def test_scratch_is_the_encoders_network_with_new_weights(encoders):
    scratch, pretrained = VisualBranch("scratch", encoders), VisualBranch("encoders", encoders)
    shapes = [{name: each.shape for name, each in branch.state_dict().items()} for branch in (scratch, pretrained)]
    assert shapes[0] == shapes[1]
    with torch.no_grad():
        assert not torch.allclose(scratch.eval()(frames()), pretrained.eval()(frames()))


@pytest.mark.parametrize("source", ["scratch", "torchvision/resnet18", "timm/resnet18", "torchvision/r3d_18"])
@pytest.mark.heavy
def test_the_shape_is_known_before_and_a_mirrored_image_mirrors_the_maps(source):
    torch.manual_seed(0)
    branch = VisualBranch(source).eval()
    with torch.no_grad():
        maps = branch(frames(4, 64, 128))
    assert maps.shape[1:] == branch.shape(4, 64, 128)
    assert maps.shape[1] == branch.channels
    dark = torch.zeros(1, 4, 3, 64, 128)
    bright = dark.clone()
    bright[..., :32] = 255
    with torch.no_grad():
        change = (branch(bright) - branch(dark)).abs().sum((0, 1, 2, 3))
    half = len(change) // 2
    assert float(change[:half].sum()) > 2 * float(change[half:].sum())


@pytest.mark.parametrize("source", ["scratch", "torchvision/resnet18", "timm/resnet18"])
def test_every_parameter_that_is_trained_has_a_gradient(source):
    branch = VisualBranch(source)
    branch(frames()).square().sum().backward()
    trained = [each for each in branch.parameters() if each.requires_grad]
    assert trained
    assert all(each.grad is not None for each in trained)


def test_a_branch_that_is_not_tuned_stays_as_it_is_in_training(encoders):
    branch = VisualBranch("encoders", encoders, fine_tune=False)
    before = {name: each.clone() for name, each in branch.state_dict().items()}
    maps = branch.train()(frames())
    assert not maps.requires_grad
    assert not any(each.requires_grad for each in branch.parameters())
    assert all(torch.equal(each, before[name]) for name, each in branch.state_dict().items())


def test_a_visual_net_is_torchvisions_resnet_before_it_pools(resnet, tmp_path):
    save_file(resnet.state_dict(), tmp_path / "resnet18.safetensors")
    branch = VisualBranch("torchvision/resnet18", weights=str(tmp_path / "resnet18.safetensors")).eval()
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        maps = branch(frames(1))
        expected = resnet(normalise(frames(1)[:, 0] / 255))
        torch.testing.assert_close(resnet.fc(maps.mean((2, 3, 4))), expected, atol=1e-4, rtol=1e-4)


def test_its_names_and_sizes_are_the_published_ones():
    with torch.device("meta"):
        network = ResNetTrunk()
    state = network.state_dict()
    assert {name.split(".")[0] for name in state} == {"feature_extraction"}
    assert {int(name.split(".")[1]) for name in state} == {0, 1, 4, 5, 6, 7}
    assert sum(each.numel() for each in network.parameters()) == 11_689_512 - 513_000
    assert VisualBranch("torchvision/resnet18").shape(1, 224, 448) == (512, 1, 7, 14)
    assert VisualBranch("torchvision/resnet18", stages=3).shape(8, 300, 300) == (256, 8, 19, 19)


def test_published_checkpoints_load_and_fewer_stages_leave_the_rest_out(resnet, tmp_path):
    trained = ResNetTrunk()
    save_file({f"module.{name}": each for name, each in trained.state_dict().items()}, tmp_path / "visual.safetensors")
    loaded = ResNetTrunk()
    loaded.load(tmp_path / "visual.safetensors")
    assert all(torch.equal(each, loaded.state_dict()[name]) for name, each in trained.state_dict().items())
    save_file(resnet.state_dict(), tmp_path / "resnet18.safetensors")
    short = ResNetTrunk(stages=3)
    short.load(tmp_path / "resnet18.safetensors")
    assert torch.equal(short.feature_extraction[6][1].conv2.weight, resnet.layer3[1].conv2.weight)


def test_weights_of_other_libraries_load_without_their_classifier(tmp_path):
    import timm

    torch.manual_seed(0)
    trained = timm.create_model("resnet18", pretrained=False)
    save_file(trained.state_dict(), tmp_path / "timm.safetensors")
    branch = VisualBranch("timm/resnet18", weights=str(tmp_path / "timm.safetensors"))
    assert torch.equal(branch.network.tower.network.layer4[1].conv2.weight, trained.layer4[1].conv2.weight)


def test_invalid_arguments_are_one_line(tmp_path, resnet):
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "part.safetensors")
    torch.save(resnet.state_dict(), tmp_path / "resnet18.pth")
    for settings, said in (
        ({"source": "encoders"}, "needs the encoders of a pretraining run"),
        ({"source": "scrtch"}, "did you mean 'scratch'"),
        ({"source": "torchvision/resnet17"}, "did you mean 'resnet18'"),
        ({"source": "timm/vit_tiny_patch16_224"}, "adaptive pooling"),
        ({"source": "torchvision/resnet18", "stages": 5}, "1 to 4 stages"),
        ({"source": "scratch", "stages": 3}, "a torchvision ResNet for 3 stages"),
        ({"weights": "resnet18.safetensors"}, "expected visual_branch torchvision/NAME or timm/NAME for weights"),
        ({"source": "torchvision/resnet18", "weights": str(tmp_path / "part.safetensors")}, "lacks"),
        ({"source": "torchvision/resnet18", "weights": str(tmp_path / "resnet18.pth")}, "never a pickle"),
        ({"source": "torchvision/resnet18", "weights": str(tmp_path / "none.safetensors")}, "got none"),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            VisualBranch(**settings)
        assert "\n" not in str(caught.value)


def test_without_frames_maps_are_the_coordinates_of_the_cells():
    branch = VisualBranch("none")
    assert branch.channels == 4
    assert not list(branch.parameters())
    assert branch.shape(3, 48, 96) == (4, 3, 6, 12)
    frames = torch.randint(256, (2, 3, 3, 48, 96), dtype=torch.uint8)
    maps = branch(frames)
    assert torch.equal(maps, branch(0 * frames))
    angle = 2 * torch.pi * (torch.arange(12) + 0.5) / 12
    torch.testing.assert_close(maps[1, 0, 2, 1], angle.cos())
    torch.testing.assert_close(maps[1, 1, 0, 2], angle.sin())
    torch.testing.assert_close(maps[0, 2, 1, :, 4], torch.tensor([5 / 6, 0.5, 1 / 6, -1 / 6, -0.5, -5 / 6]))
    assert bool((maps[:, 3] == 1).all())
