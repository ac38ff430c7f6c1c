"""Rotations of the sound field to other objects: where they put them, how far they are, and what fills them up."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from avssl.data.clip_options import CropOptions
from avssl.data.crops import Crops, draw_crops
from avssl.data.object_negatives import SEPARATION, draw_object_negatives
from avssl.spatial.ambisonics import angle_between, angles, direction, encode, intensity_direction, rotate

OPTIONS = CropOptions(crops=3, crop_guide="objects", min_separation=36, guided_offset=0.7, min_fov=60, max_fov=70)


def at(*degrees: tuple[float, float]) -> Tensor:
    """Objects at azimuths and elevations in degrees, best first."""
    scores = torch.linspace(1, 0.5, len(degrees))
    return torch.column_stack([torch.tensor(degrees, dtype=torch.float64).deg2rad(), scores]).float()


FIVE = at((0, 0), (60, 10), (130, -20), (-120, 5), (-60, 30))


def in_front_of(crops: Crops, crop: int, vector: Tensor) -> Tensor:
    """A direction as the audio of a crop has it, mirrored where the crop is."""
    return crops.to_front()[crop] @ vector


@pytest.mark.parametrize("world", ["none", "yaw", "any"])
def test_another_object_sounds_from_where_the_crop_shows_its_own(world: str) -> None:
    signal = torch.randn(2400, generator=torch.Generator().manual_seed(0))
    vectors = direction(*FIVE[:, :2].T)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        crops = draw_crops(OPTIONS, rng, world, 0.5, FIVE)
        negatives = draw_object_negatives(crops, FIVE, 2, rng)
        assert bool(negatives.of_objects.all())
        for crop, guide in enumerate(crops.guides.tolist()):
            shown = in_front_of(crops, crop, vectors[guide])
            moved = set()
            for matrix in negatives.rotations[crop]:
                other = int((vectors @ matrix.T @ shown).argmax())  # the object that is moved there
                moved.add(other)
                azimuth, elevation, _ = intensity_direction(
                    rotate(encode(signal, *FIVE[other, :2].tolist()), matrix), 24000
                )
                assert float(angle_between(azimuth, elevation, *angles(shown)).rad2deg()) < 0.1
                determinant = float(torch.linalg.det(matrix))
                assert determinant == pytest.approx(-1.0 if crops.flips[crop] else 1.0, abs=1e-5)
            assert moved == {3, 4}  # the two objects without a crop of their own come first
            assert guide not in moved


def test_objects_near_the_shown_one_are_no_negatives_and_random_directions_fill_up() -> None:
    near = at((0, 0), (SEPARATION - 5, 0), (90, 0))
    options = CropOptions(crops=1, crop_guide="objects")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        crops = draw_crops(options, rng, "yaw", 0.5, near)
        negatives = draw_object_negatives(crops, near, 4, rng)
        assert negatives.rotations.shape == (1, 4, 3, 3)
        assert negatives.of_objects.tolist() == [[True, False, False, False]]
        # What each brings to the front, where the crop has its object.
        brought = (negatives.rotations[0].mT @ in_front_of(crops, 0, direction(0.0, 0.0))[:, None])[..., 0]
        assert float(angle_between(*angles(brought[0]), math.pi / 2, 0.0)) < 1e-3
        assert angle_between(*angles(brought), 0.0, 0.0).rad2deg().min() >= SEPARATION - 1e-3


@pytest.mark.parametrize("objects", [torch.empty(0, 3), at((0, 90)), at((10, 0), (10, 0))])
def test_too_few_objects_leave_random_directions(objects: Tensor) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        crops = draw_crops(OPTIONS, rng, "any", 0.5, objects)
        negatives = draw_object_negatives(crops, objects, 2, rng)
        torch.testing.assert_close(
            negatives.rotations @ negatives.rotations.mT, torch.eye(3).expand(3, 2, 3, 3), atol=1e-5, rtol=0
        )
        guided = crops.guides >= 0
        assert not bool(negatives.of_objects[guided].any())
        relative = negatives.rotations @ crops.to_front().mT[:, None]  # from the right rotation to the wrong one
        cosine = (relative.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
        assert cosine.max() <= math.cos(math.radians(SEPARATION)) + 1e-4


def test_random_crops_have_negatives_with_an_object_in_front() -> None:
    rng = np.random.default_rng(1)
    crops = draw_crops(CropOptions(crops=4), rng)
    negatives = draw_object_negatives(crops, FIVE, 1, rng)
    brought = negatives.rotations[:, 0, 0]  # what is brought to the front
    nearest = (brought @ direction(*FIVE[:, :2].T).T).max(1).values
    torch.testing.assert_close(nearest, torch.ones(4), atol=1e-5, rtol=0)
