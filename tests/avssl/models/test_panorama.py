"""Maps of panoramas are seamless, and cells have the solid angles of a sphere."""

import math

import pytest
import torch

from avssl.config import ModelConfig
from avssl.errors import InputError
from avssl.models.encoders import VideoEncoder
from avssl.models.panorama import cell_solid_angles, panorama_maps, stride_of_centred_layers


def frames(width: int = 96) -> torch.Tensor:
    return torch.randint(0, 255, (2, 2, 3, 48, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("padding", [40, 48])
def test_rolling_the_panorama_by_a_cell_rolls_the_maps(padding: int) -> None:
    encoder = VideoEncoder(ModelConfig()).eval()
    with torch.inference_mode():
        maps = panorama_maps(encoder, frames(), padding)
        rolled = panorama_maps(encoder, frames().roll(24, -1), padding)
    assert maps.shape == (2, 128, 2, 6, 12)
    torch.testing.assert_close(rolled, maps.roll(3, -1), atol=1e-4, rtol=1e-4)


def test_without_padding_only_cells_near_the_seam_differ() -> None:
    encoder = VideoEncoder(ModelConfig()).eval()
    with torch.inference_mode():
        seamless, cut = (panorama_maps(encoder, frames(192), padding) for padding in (48, 0))
    changed = (seamless - cut).abs().amax((0, 1, 2, 3)) > 1e-4
    assert changed[[0, -1]].all()
    assert not changed[5:-5].any()


@pytest.mark.parametrize(("model", "stride"), [
    (ModelConfig(), 8),
    (ModelConfig(preset="avsa"), 16),
    (ModelConfig(video="torchvision/resnet18"), 32),
    (ModelConfig(video="timm/convnext_atto"), 1),  # patches
])  # fmt: skip
def test_stride_of_layers_that_are_centred_on_their_first_pixel(model: ModelConfig, stride: int) -> None:
    assert stride_of_centred_layers(VideoEncoder(model).tower) == stride


def test_the_receptive_field_of_a_cell_is_centred_on_its_columns() -> None:
    encoder = VideoEncoder(ModelConfig()).eval()
    for weight in encoder.parameters():
        torch.nn.init.constant_(weight, 1 / max(1, weight[0].numel()))
    pixels = torch.full((1, 1, 3, 96, 192), 200.0).requires_grad_()
    panorama_maps(encoder, pixels, 48)[..., 6, 11].sum().backward()
    assert pixels.grad is not None
    influence = pixels.grad.abs().sum((0, 1, 2, 3))
    centre = float((influence * torch.arange(192)).sum() / influence.sum())
    assert centre == pytest.approx(11.5 * 8 - 0.5, abs=0.51)


def test_mirrored_panoramas_have_mirrored_maps_where_the_weights_are_symmetric() -> None:
    encoder = VideoEncoder(ModelConfig()).eval()
    for weight in encoder.parameters():
        if weight.ndim == 4:
            weight.data = (weight.data + weight.data.flip(-1)) / 2
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 3, 6), (96, 192), mode="bicubic")[:, None] * 255
    with torch.inference_mode():
        maps, mirrored = (panorama_maps(encoder, each, 48) for each in (smooth, smooth.flip(-1)))
    off = float((mirrored - maps.flip(-1)).square().mean())
    by_a_cell = float((mirrored.roll(1, -1) - maps.flip(-1)).square().mean())
    assert off < 0.05 * by_a_cell


@pytest.mark.parametrize("padding", [4, 100, -8])
def test_padding_that_does_not_fit_is_an_error(padding: int) -> None:
    with pytest.raises(InputError, match="expected a padding"):
        panorama_maps(VideoEncoder(ModelConfig()), frames(), padding)


def test_solid_angles_are_those_of_the_sphere() -> None:
    angles = cell_solid_angles(16, 32)
    assert float(angles.sum()) == pytest.approx(4 * math.pi, rel=1e-6)
    fine = torch.linspace(math.pi / 2, -math.pi / 2, 16 * 1000 + 1, dtype=torch.float64)
    integral = (((fine[1:] + fine[:-1]) / 2).cos() * (math.pi / 16000)).view(16, 1000).sum(1) * 2 * math.pi / 32
    torch.testing.assert_close(angles[:, 5], integral.float(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(angles, angles[:, :1].expand(16, 32))
