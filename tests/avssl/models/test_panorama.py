"""Maps of panoramas are seamless, and cells have the solid angles of a sphere."""

import math

import pytest
import torch

from avssl.config import ModelConfig
from avssl.errors import InputError
from avssl.models.encoders import VideoEncoder
from avssl.models.panorama import cell_solid_angles, panorama_maps


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
