"""The 2.5D U-Net and the heads of Sep-Stereo: sizes, names and arithmetic of the published networks."""

from __future__ import annotations

import pytest
import torch
from avssl_downstream.spatialize.networks.apnet import APNet, AssociativeConv, AVFusionBlock, side_by_side
from avssl_downstream.spatialize.networks.unet25d import DecoderOutput, UNet25D
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from avssl.models.pretrained import load_weights

# Block -> weight's shape, and what comes out of two spectra of 257 x 64.
TABLE = {
    "audionet_convlayer1": ((64, 2, 4, 4), (64, 128, 32)),
    "audionet_convlayer2": ((128, 64, 4, 4), (128, 64, 16)),
    "audionet_convlayer3": ((256, 128, 4, 4), (256, 32, 8)),
    "audionet_convlayer4": ((512, 256, 4, 4), (512, 16, 4)),
    "audionet_convlayer5": ((512, 512, 4, 4), (512, 8, 2)),
    "conv1x1": ((8, 512, 1, 1), (8, 7, 14)),
    "audionet_upconvlayer1": ((1296, 512, 4, 4), (512, 16, 4)),
    "audionet_upconvlayer2": ((1024, 256, 4, 4), (256, 32, 8)),
    "audionet_upconvlayer3": ((512, 128, 4, 4), (128, 64, 16)),
    "audionet_upconvlayer4": ((256, 64, 4, 4), (64, 128, 32)),
    "audionet_upconvlayer5": ((128, 2, 4, 4), (2, 256, 64)),
}


def parameters(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def shapes(network: nn.Module, *inputs: object) -> dict[str, tuple[int, ...]]:
    """What every child gives out, without the batch."""
    found: dict[str, tuple[int, ...]] = {}
    for name, child in network.named_children():
        child.register_forward_hook(lambda _, __, out, name=name: found.update({name: tuple(out.shape[1:])}))
    with torch.no_grad():
        network(*inputs)
    return found


@pytest.fixture(scope="module")
def full() -> UNet25D:
    torch.manual_seed(0)
    return UNet25D()


def by_hand(state: dict[str, Tensor], mix: Tensor, maps: Tensor) -> Tensor:
    """The table again, in plain functions, as at evaluation."""

    def block(name: str, x: Tensor, *, up: bool = False) -> Tensor:
        convolve = functional.conv_transpose2d if up else functional.conv2d
        stride, padding = (1, 0) if name == "conv1x1" else (2, 1)
        x = convolve(x, state[f"{name}.0.weight"], state[f"{name}.0.bias"], stride=stride, padding=padding)
        if name == "audionet_upconvlayer5":
            return 2 / (1 + torch.exp(-x)) - 1
        norm = [state[f"{name}.1.{each}"] for each in ("running_mean", "running_var", "weight", "bias")]
        x = functional.batch_norm(x, *norm)
        return functional.relu(x) if up or name == "conv1x1" else functional.leaky_relu(x, 0.2)

    downs = [mix]
    for level in range(1, 6):
        downs.append(block(f"audionet_convlayer{level}", downs[-1]))
    x = downs[-1]
    cells = block("conv1x1", maps).reshape(len(mix), -1, 1, 1).repeat(1, 1, *x.shape[-2:])
    x = block("audionet_upconvlayer1", torch.cat([cells, x], 1), up=True)
    for level in range(2, 6):
        x = block(f"audionet_upconvlayer{level}", torch.cat([x, downs[-level]], 1), up=True)
    return x


def test_the_u_net_has_the_published_parameters_names_and_shapes(full):
    assert parameters(full) == 23_086_234
    state = full.state_dict()
    assert {name: tuple(state[f"{name}.0.weight"].shape) for name in TABLE} == {n: w for n, (w, _) in TABLE.items()}
    norms = [name for name in TABLE if name != "audionet_upconvlayer5"]
    wanted = {f"{name}.0.{each}" for name in TABLE for each in ("weight", "bias")}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert state.keys() == wanted | {f"{name}.1.{each}" for name in norms for each in norm}
    found = shapes(full, torch.randn(2, 2, 257, 64), torch.randn(2, 512, 7, 14))
    assert found == {name: shape for name, (_, shape) in TABLE.items()}


def test_the_u_net_is_the_table_in_plain_functions():
    torch.manual_seed(0)
    network = UNet25D(width=4, visual_channels=6).eval()
    mix, maps = torch.randn(2, 2, 257, 64), torch.randn(2, 6, 7, 14)
    for norm in (each for each in network.modules() if isinstance(each, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -0.1, 0.1)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
    with torch.no_grad():
        torch.testing.assert_close(network(mix, maps).mask, by_hand(network.state_dict(), mix, maps))


def test_weights_start_as_published(full):
    convolutions = [each for each in full.modules() if isinstance(each, (nn.Conv2d, nn.ConvTranspose2d))]
    norms = [each for each in full.modules() if isinstance(each, nn.BatchNorm2d)]
    for each in convolutions:
        assert abs(float(each.weight.detach().std()) / 0.02 - 1) < 0.1
    scales = torch.cat([each.weight.detach() for each in norms])
    assert abs(float(scales.mean()) - 1) < 2e-3
    assert abs(float(scales.std()) / 0.02 - 1) < 0.1
    assert all(torch.equal(each.bias, torch.zeros_like(each.bias)) for each in norms)


def test_the_nyquist_row_is_read_and_left_out_of_the_mask():
    torch.manual_seed(0)
    network, mix, maps = UNet25D(4, 8).eval(), torch.randn(1, 2, 257, 64), torch.randn(1, 8, 7, 14)
    other = mix.clone()
    other[:, :, 256] += 1
    with torch.no_grad():
        assert not torch.equal(network(mix, maps).mask, network(other, maps).mask)


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.heavy
def test_it_learns_that_the_side_of_the_image_is_the_side_of_the_audio(norm):
    torch.manual_seed(0)
    network = UNet25D(width=8, visual_channels=4, grid=(2, 4), norm=norm)
    mix, maps = torch.randn(1, 2, 65, 32).repeat(4, 1, 1, 1), torch.zeros(4, 4, 4, 8)
    maps[::2, :, :, :2] = maps[1::2, :, :, -2:] = 1
    target = torch.zeros(4, 2, 64, 32)
    target[::2, 0], target[1::2, 0] = 0.5, -0.5
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        functional.mse_loss(network(mix, maps).mask, target).backward()
        optimiser.step()
    with torch.no_grad():
        assert float((network(mix, maps).mask - target).square().mean()) < 5e-3
        exchanged = network(mix, maps.flip(-1)).mask
    assert float((exchanged + target)[:, 0].abs().mean()) < 0.1


def test_maps_of_another_grid_are_averaged_into_it():
    torch.manual_seed(0)
    network, mix, maps = UNet25D(4, 3).eval(), torch.randn(1, 2, 257, 64), torch.randn(1, 3, 7, 14)
    larger = maps.repeat_interleave(4, 2).repeat_interleave(4, 3)
    with torch.no_grad():
        torch.testing.assert_close(network(mix, larger).mask, network(mix, maps).mask)


def test_apnet_has_the_published_parameters_and_names():
    network = APNet()
    assert parameters(network) == 1_766_710
    blocks = [f"fusion{level}.channel_mapping_conv_{each}" for level in (1, 2, 3, 4) for each in "wb"]
    lasts = ["lastconv_left.0", "lastconv_right.0"]
    convolutions = [*blocks, *lasts, *(f"fusion_upconv{level}.0" for level in (1, 2, 3))]
    wanted = {f"{name}.{each}" for name in convolutions for each in ("weight", "bias")}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    wanted |= {f"fusion_upconv{level}.1.{each}" for level in (1, 2, 3) for each in norm}
    assert network.state_dict().keys() == wanted


def test_every_cell_of_the_frame_has_its_own_kernel():
    torch.manual_seed(0)
    block, audio, cells = AVFusionBlock(5, 3), torch.randn(2, 5, 4, 6), torch.randn(2, 3, 7)
    weight, bias = block.channel_mapping_conv_w.weight[..., 0], block.channel_mapping_conv_w.bias
    found = block(audio, cells)
    for cell in range(7):
        kernel = (cells[:, :, cell] @ weight.T + bias).clamp(min=0)
        torch.testing.assert_close(found[:, cell], (audio * kernel[:, :, None, None]).sum(1))


@pytest.mark.parametrize("head", [APNet, AssociativeConv])
def test_heads_give_two_bounded_masks_and_train_all_they_use(head):
    torch.manual_seed(0)
    network, fusion = UNet25D(8, 16, (3, 6)), head(8, 16, (3, 6))
    mix, maps = torch.randn(2, 2, 257, 64), torch.randn(2, 16, 7, 14)
    left, right = fusion(network(mix, maps), maps)
    assert left.shape == right.shape == (2, 2, 256, 64)
    assert float(torch.stack([left, right]).detach().abs().max()) <= 1
    (left.square().sum() + right.square().sum()).backward()
    assert all(each.grad is not None for each in fusion.parameters() if each.requires_grad)


def test_apnet_reads_all_four_levels_and_assoconv_the_last():
    torch.manual_seed(0)
    network, maps = UNet25D(4, 6, (3, 6)).eval(), torch.rand(1, 6, 3, 6)
    with torch.no_grad():
        decoded = network(torch.randn(1, 2, 257, 64), maps)
        for head, read in ((APNet(4, 6, (3, 6)).eval(), [0, 1, 2, 3]), (AssociativeConv(4, 6, (3, 6)).eval(), [3])):
            before, changed = head(decoded, maps).left, []
            for level in range(4):
                levels = [each * (1 + (place == level)) for place, each in enumerate(decoded.levels)]
                after = head(DecoderOutput(decoded.mask, tuple(levels)), maps).left
                changed += [level] if not torch.equal(before, after) else []
            assert changed == read


def test_two_solos_stand_at_the_ends_of_the_stage():
    left, right = torch.randn(2, 3, 7, 14), torch.randn(2, 3, 7, 14)
    stage = side_by_side(left, right)
    torch.testing.assert_close(stage[..., :1], functional.adaptive_max_pool2d(left, (7, 1)))
    torch.testing.assert_close(stage[..., -1:], functional.adaptive_max_pool2d(right, (7, 1)))
    assert torch.equal(stage[..., 1:-1], torch.zeros(2, 3, 7, 12))


def test_a_published_checkpoint_loads_from_its_file(tmp_path):
    torch.manual_seed(0)
    trained, fresh = UNet25D(4, 6), UNet25D(4, 6)
    old = {f"module.{n}": t for n, t in trained.state_dict().items() if not n.endswith("num_batches_tracked")}
    save_file(old, tmp_path / "audio_best.safetensors")
    load_weights(fresh, tmp_path / "audio_best.safetensors")
    assert all(torch.equal(each, fresh.state_dict()[name]) for name, each in trained.state_dict().items())
    with pytest.raises(ValueError, match="other shapes at"):
        load_weights(UNet25D(8, 6), tmp_path / "audio_best.safetensors")
    (tmp_path / "audio_best.pth").write_bytes(b"pickle")
    with pytest.raises(ValueError, match="never a pickle"):
        load_weights(fresh, tmp_path / "audio_best.pth")


@pytest.mark.parametrize("shape", [(1, 2, 257, 60), (1, 2, 31, 64), (1, 1, 257, 64), (2, 257, 64)])
def test_spectra_that_do_not_fit_are_refused_in_one_line(shape):
    with pytest.raises(ValueError, match=r"\A.+\Z"):
        UNet25D(4, 6)(torch.zeros(shape), torch.zeros(1, 6, 7, 14))
    with pytest.raises(ValueError, match="batch or instance"):
        UNet25D(4, 6, norm="layer")
