"""Objects off the centres of the crops that they guide: place, separation, poles, seam, and audio."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from avssl.config import fill
from avssl.data.clip_options import CropOptions
from avssl.data.crops import Crops, draw_crops
from avssl.data.guided_crops import aim_cameras
from avssl.spatial.ambisonics import angle_between, direction, encode, intensity_direction, rotate

OFFSET = 0.7
OPTIONS = CropOptions(crop_guide="objects", min_separation=36, guided_offset=OFFSET, min_fov=40, max_fov=90)


def at(*degrees: tuple[float, float]) -> Tensor:
    """Objects at azimuths and elevations in degrees, best first."""
    scores = torch.linspace(1, 0.5, len(degrees))
    return torch.column_stack([torch.tensor(degrees, dtype=torch.float64).deg2rad(), scores]).float()


def scattered(seed: int, count: int) -> Tensor:
    """Objects uniform over the sphere, best first."""
    rng = np.random.default_rng((seed, 11))
    azimuth, elevation = rng.uniform(-180, 180, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    return at(*zip(azimuth, elevation, strict=True)) if count else torch.empty(0, 3)


def places(crops: Crops, objects: Tensor) -> Tensor:
    """Place `(G, 2)` of the object in each guided crop, to the left and up, as fractions of the half fields."""
    guided = crops.guides >= 0
    vectors = direction(*objects[crops.guides[guided], :2].double().T)
    ahead, left, up = (vectors[:, None] @ crops.cameras[guided].double())[:, 0].T
    assert bool((ahead > 0).all())
    half = torch.tan(crops.fields[guided].double() / 2)
    sign = 1 - 2 * crops.flips[guided].double()
    return torch.stack([sign * left / ahead / half, up / ahead / half / crops.aspects[guided]], 1)


@pytest.mark.parametrize(("azimuth", "elevation"), [(180.0, 0.0), (20.0, -40.0), (-180.0, 75.0), (20.0, 90.0)])
def test_the_place_of_an_object_is_uniform_over_the_central_part(azimuth: float, elevation: float) -> None:
    objects, rng = at((azimuth, elevation)), np.random.default_rng(3)
    options = replace(OPTIONS, crops=1)
    found = torch.cat([places(draw_crops(options, rng, "any", 0.5, objects), objects) for _ in range(250)]).numpy()
    assert np.abs(found).max() <= OFFSET + 1e-6
    for axis in range(2):
        assert kstest(found[:, axis], "uniform", (-OFFSET, 2 * OFFSET)).pvalue > 0.005
    assert abs(np.corrcoef(found.T)[0, 1]) < 0.15


def test_aimed_cameras_show_the_target_at_its_place_upright_where_possible() -> None:
    rng = np.random.default_rng(0)
    targets = torch.from_numpy(rng.standard_normal((2000, 3)))
    targets[:50, :2] = 0  # the poles
    targets[50:100, :2] *= 0.05
    targets = torch.nn.functional.normalize(targets, dim=-1)
    left, up = torch.from_numpy(rng.uniform(-1, 1, (2, 2000)))
    cameras = aim_cameras(targets, left, up)
    torch.testing.assert_close(cameras @ cameras.mT, torch.eye(3).double().expand_as(cameras))
    torch.testing.assert_close(torch.linalg.det(cameras), torch.ones(2000).double())
    rays = torch.nn.functional.normalize(torch.stack([torch.ones_like(left), left, up], 1), dim=-1)
    torch.testing.assert_close((cameras @ rays[..., None])[..., 0], targets)
    low = targets[:, 2].asin().rad2deg().abs() < 25
    assert low.sum() > 700
    assert cameras[low, 2, 1].abs().max() < 1e-9
    assert bool((cameras[low, 2, 2] > 0).all())


@pytest.mark.parametrize("least", [0.0, 36.0, 75.0])
@pytest.mark.parametrize("count", [0, 1, 3, 7, 40])
def test_centres_keep_their_separation_and_crops_their_objects(least: float, count: int) -> None:
    options = replace(OPTIONS, min_separation=least, min_elevation=-15, max_elevation=15)
    for seed in range(12):
        objects = scattered(seed, count)
        crops = draw_crops(options, np.random.default_rng(seed), "any", 0.5, objects)
        front = crops.cameras[:, :, 0].double()
        sines = torch.linalg.vector_norm(front[:, None] - front[None], dim=-1) / 2
        gaps = torch.rad2deg(2 * sines.clamp(max=1).asin()) + 999 * torch.eye(4)
        assert gaps.min() >= least - 1e-3
        guides = crops.guides[crops.guides >= 0].tolist()
        assert len(set(guides)) == len(guides)
        assert guides[:1] == [0] * min(1, count)  # there is always room for the best one
        if guides:
            one, other = objects[guides][:, None], objects[guides]
            apart = angle_between(one[..., 0], one[..., 1], other[:, 0], other[:, 1]).rad2deg()
            assert (apart + 999 * torch.eye(len(guides))).min() >= least - 1e-3
            assert places(crops, objects).abs().max() <= OFFSET + 1e-5


def test_a_clip_without_objects_has_random_crops_which_are_marked() -> None:
    crops = draw_crops(OPTIONS, np.random.default_rng(0), "yaw", 0.5, torch.empty(0, 3))
    assert crops.guides.tolist() == [-1] * 4
    assert crops.directions()[:, 1].rad2deg().abs().max() <= 30.001
    assert draw_crops(CropOptions(), np.random.default_rng(0)).guides.tolist() == [-1] * 4
    ring = at((0, 0), (120, 0), (-120, 0))
    partly = replace(OPTIONS, guided_offset=0.0, min_separation=75, min_elevation=-15, max_elevation=15)
    assert draw_crops(partly, np.random.default_rng(0), objects=ring).guides.tolist() == [0, 1, -1, -1]


def test_guided_crops_have_their_own_fields_and_separation() -> None:
    objects = at((0, 0), (45, 5), (90, -5), (135, 0))
    for offset in (0.0, OFFSET):
        wide = replace(OPTIONS, min_fov=90, max_fov=100, min_separation=75, guided_offset=offset)
        narrow = replace(wide, guided_min_fov=40, guided_max_fov=60, guided_separation=40)
        for options, most in ((wide, 2), (narrow, 4)):
            for seed in range(30):
                crops = draw_crops(options, np.random.default_rng(seed), "yaw", 0.5, objects)
                guided = crops.guides >= 0
                assert guided.sum() <= most
                for part, (least, largest) in ((guided, options.fov(True)), (~guided, options.fov())):
                    fields = crops.fields[part].rad2deg()
                    assert bool(((fields >= least - 1e-3) & (fields <= largest + 1e-3)).all())
            assert guided.sum() == most


@pytest.mark.parametrize("world", ["none", "yaw", "any"])
def test_the_sound_of_a_guided_object_comes_from_its_place_not_from_the_front(world: str) -> None:
    objects = at((170, 20), (10, -50))
    signal = torch.randn(2400, generator=torch.Generator().manual_seed(0))
    off_front = []
    for seed in range(15):
        crops = draw_crops(replace(OPTIONS, crops=2), np.random.default_rng(seed), world, 0.5, objects)
        for crop, (guide, place) in enumerate(zip(crops.guides.tolist(), places(crops, objects), strict=True)):
            audio = encode(signal, *objects[guide, :2].tolist())
            azimuth, elevation, _ = intensity_direction(rotate(audio, crops.to_front()[crop]), 24000)
            heading = direction(azimuth.double(), elevation.double())
            half = math.tan(float(crops.fields[crop]) / 2)
            found = heading[1:] / heading[0] / torch.tensor([half, half * float(crops.aspects[crop])])
            torch.testing.assert_close(found, place, atol=1e-3, rtol=0)
            off_front.append(math.degrees(math.acos(min(1.0, float(heading[0])))))
    assert np.mean(off_front) > 12
    centred = draw_crops(replace(OPTIONS, guided_offset=0.0), np.random.default_rng(0), world, 0.5, objects)
    assert places(centred, objects).abs().max() < 1e-5


def test_an_object_larger_than_its_crop_fills_it() -> None:
    rows = (0.5 - (torch.arange(90) + 0.5) / 90) * math.pi
    columns = (0.5 - (torch.arange(180) + 0.5) / 180) * 2 * math.pi
    rows, columns = torch.meshgrid(rows, columns, indexing="ij")
    options = replace(OPTIONS, crops=1, guided_min_fov=25, guided_max_fov=30, aspect=1)
    for azimuth, elevation in ((180.0, 10.0), (-30.0, 80.0)):
        objects = at((azimuth, elevation))
        disc = angle_between(columns, rows, *objects[0, :2].tolist()) < math.radians(45)
        frames = (255 * disc).to(torch.uint8).expand(1, 3, 90, 180)
        for seed in range(10):
            crops = draw_crops(options, np.random.default_rng(seed), "any", 0.5, objects)
            assert int(crops.frames(frames, 24).min()) == 255
            assert places(crops, objects).abs().max() <= OFFSET + 1e-5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"guided_offset": 1.1}, "guided_offset is from 0 to 1, not 1.1"),
        ({"guided_offset": -0.1}, "guided_offset is from 0 to 1"),
        ({"guided_min_fov": 80}, "guided_min_fov <= guided_max_fov < 180 degrees, not 80.0 and 76.3"),
        ({"guided_max_fov": 180}, "guided_min_fov <= guided_max_fov < 180"),
        ({"guided_separation": 200}, "guided_separation is from 0 to 180 degrees, not 200"),
    ],
)
def test_options_of_guided_crops_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        fill(CropOptions, wrong)
    assert "\n" not in str(caught.value)
