"""Crops: directions, separation, and agreement of image and audio."""

import math
import time

import numpy as np
import pytest
import torch
from torch import Tensor

from avssl.config import fill
from avssl.data.clip_options import CropOptions
from avssl.data.crops import Crops, draw_crops, draw_rotation
from avssl.spatial.ambisonics import angle_between, direction, encode, intensity_direction, rotate

HEIGHT, WIDTH = 180, 360


def spot(azimuth: float, elevation: float) -> Tensor:
    """A white disc of 4 degrees on a black background."""
    rows = (0.5 - (torch.arange(HEIGHT) + 0.5) / HEIGHT) * math.pi
    columns = (0.5 - (torch.arange(WIDTH) + 0.5) / WIDTH) * 2 * math.pi
    rows, columns = torch.meshgrid(rows, columns, indexing="ij")
    distance = angle_between(columns, rows, azimuth, elevation)
    return (255 * (distance < math.radians(4))).to(torch.uint8).expand(1, 3, HEIGHT, WIDTH)


def centre_of_light(image: Tensor) -> tuple[float, float]:
    """Position of the light in an image, -1 to 1 to the left and up."""
    light = image.float().mean((0, 1))
    size = len(light)
    place = 1 - 2 * (torch.arange(size) + 0.5) / size
    return float((light.sum(0) * place).sum() / light.sum()), float((light.sum(1) * place).sum() / light.sum())


def test_draws_of_a_seed_are_those_of_earlier_versions() -> None:
    rng = np.random.default_rng(7)
    options = CropOptions(crops=4, min_separation=75, min_elevation=-15, max_elevation=15)
    crops = draw_crops(options, rng, "yaw", 0.5)
    directions = [[1.561202, -0.031252], [-1.239148, -0.241386], [-2.954543, 0.039245], [0.241689, -0.041558]]
    torch.testing.assert_close(crops.directions(), torch.tensor(directions), atol=2e-6, rtol=0)
    torch.testing.assert_close(crops.fields, torch.tensor([0.496855, 1.131336, 1.197870, 0.883143]), atol=2e-6, rtol=0)
    torch.testing.assert_close(crops.world[:2, 0], torch.tensor([0.714279, -0.699862]), atol=2e-6, rtol=0)
    assert crops.flips.tolist() == [False, True, True, False]
    assert rng.random() == 0.6310131824307945


@pytest.mark.parametrize("world", ["none", "yaw", "any"])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_source_direction_agrees_in_image_and_audio_of_every_crop(world: str, flip: float) -> None:
    options = CropOptions(crops=4, min_fov=60, max_fov=80, min_separation=20)
    seen = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        crops = draw_crops(options, rng, world, flip)
        offset = rng.uniform(-0.25, 0.25, 2)
        azimuth, elevation = crops.directions()[0].tolist()
        azimuth, elevation = azimuth + offset[0], max(-1.5, min(1.5, elevation + offset[1]))
        frames = crops.frames(spot(azimuth, elevation), 96)
        audio = encode(torch.randn(4800, generator=torch.Generator().manual_seed(seed)), azimuth, elevation)
        rotated = rotate(audio[None], crops.to_front())
        for image, foa, field, aspect in zip(frames, rotated, crops.fields, crops.aspects, strict=True):
            y, x = (float((foa[0] * foa[channel]).sum() / foa[0].square().sum()) for channel in (1, 3))
            z = float((foa[0] * foa[2]).sum() / foa[0].square().sum())
            tangent = float(torch.tan(field / 2))
            left, up = (y / x / tangent, z / x / tangent / float(aspect)) if x > 0.1 else (9.0, 9.0)
            if max(abs(left), abs(up)) < 0.8:
                seen += 1
                assert centre_of_light(image) == pytest.approx((left, up), abs=0.06)
    assert seen >= 20


def test_crop_centre_is_in_front_in_audio() -> None:
    crops = draw_crops(CropOptions(), np.random.default_rng(0), "any", 0.5)
    for (azimuth, elevation), matrix in zip(crops.directions().tolist(), crops.to_front(), strict=True):
        rotated = rotate(encode(torch.randn(2400), azimuth, elevation), matrix)
        torch.testing.assert_close(rotated[3], rotated[0], atol=1e-5, rtol=0)
        assert rotated[1:3].abs().max() < 1e-5


def test_a_flipped_crop_hears_left_as_right() -> None:
    plain, flipped = (draw_crops(CropOptions(), np.random.default_rng(4), "any", flip) for flip in (0.0, 1.0))
    audio = torch.randn(4, 100)
    mirrored = rotate(audio[None], plain.to_front()) * torch.tensor([1, -1, 1, 1])[:, None]
    torch.testing.assert_close(rotate(audio[None], flipped.to_front()), mirrored)


def test_scene_yaw_rotates_audio_unless_it_is_aligned_to_the_crop() -> None:
    options = CropOptions(crops=3)
    crops = draw_crops(options, np.random.default_rng(0), "yaw")
    azimuth, elevation, _ = intensity_direction(encode(torch.randn(4800), 0.3, 0.2), 24000)
    turned = rotate(encode(torch.randn(4800), float(azimuth), float(elevation))[None], crops.to_world())
    found, height, _ = intensity_direction(turned, 24000)
    yaw = math.atan2(float(crops.world[1, 0]), float(crops.world[0, 0]))
    torch.testing.assert_close(
        angle_between(found, height, float(azimuth) + yaw, 0.2), torch.zeros(3), atol=1e-3, rtol=0
    )
    assert abs(yaw) > 0.1
    assert crops.rolls().abs().max() < 1e-5


def many(options: CropOptions, world: str = "none", count: int = 500) -> list[Crops]:
    rng = np.random.default_rng(0)
    return [draw_crops(options, rng, world, 0.5) for _ in range(count)]


def test_crops_keep_apart_and_within_their_ranges_and_fill_them() -> None:
    options = CropOptions(crops=4, min_separation=36)
    drawn = many(options)
    for crops in drawn:
        centres = direction(*crops.directions().T)
        apart = torch.acos((centres @ centres.T).clamp(-1, 1))
        assert (apart + 9 * torch.eye(4)).min() >= math.radians(36) - 1e-4
    directions = torch.cat([crops.directions() for crops in drawn])
    fields = torch.cat([crops.fields for crops in drawn]).rad2deg()
    aspects = torch.cat([crops.aspects for crops in drawn])
    for values, least, most in (
        (directions[:, 0].rad2deg(), -180, 180),
        (directions[:, 1].rad2deg(), -30, 30),
        (fields, 25.0, 76.3),
        (aspects, 0.75, 4 / 3),
    ):
        margin = 0.02 * (most - least)
        assert least - 1e-3 <= values.min() < least + margin
        assert most - margin < values.max() <= most + 1e-3
    quarters = torch.histc(directions[:, 0], 4, -math.pi, math.pi) / len(directions)
    assert (quarters - 0.25).abs().max() < 0.04
    assert abs(float(torch.cat([crops.flips for crops in drawn]).float().mean()) - 0.5) < 0.05


def test_fields_of_view_are_uniform_in_their_tangent_as_published() -> None:
    fields = torch.cat([crops.fields for crops in many(CropOptions())])
    fractions = torch.tan(fields / 2) / math.pi  # the published hf ~ U(.0707, .25)
    assert fractions.min() >= 0.0706
    assert fractions.max() <= 0.2501
    assert float(fractions.mean()) == pytest.approx((0.0707 + 0.25) / 2, abs=0.005)


@pytest.mark.parametrize("kind", ["yaw", "pitch-yaw", "any"])
def test_rotations_are_proper_and_cover_what_they_name(kind: str) -> None:
    rng = np.random.default_rng(0)
    drawn = torch.stack([draw_rotation(kind, rng) for _ in range(600)])
    torch.testing.assert_close(drawn @ drawn.mT, torch.eye(3).expand(600, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(drawn), torch.ones(600))
    front, top = drawn[:, :, 0], drawn[:, 2, 2]
    assert front[:, :2].mean(0).abs().max() < 0.1
    if kind == "yaw":
        torch.testing.assert_close(top, torch.ones(600))
    if kind == "any":  # z of any fixed axis is uniform on a uniformly turned sphere
        assert abs(float(top.mean())) < 0.08
        assert abs(float(top.square().mean()) - 1 / 3) < 0.05


def test_crops_that_do_not_fit_are_refused_at_once() -> None:
    begun = time.perf_counter()
    with pytest.raises(ValueError, match="30 crops do not fit 40.* degrees apart") as caught:
        CropOptions(crops=30, min_separation=40)
    assert time.perf_counter() - begun < 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"crops": 0},
        {"min_fov": 90, "max_fov": 60},
        {"min_elevation": 40},
        {"max_fov": 180},
        {"aspect": 0.5},
        {"min_separation": 300},
        {"min_separation": float("nan")},
    ],
)
def test_options_without_a_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"degrees|at least|finite number, got nan"):
        fill(CropOptions, wrong)


def test_an_unknown_rotation_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'roll'"):
        draw_rotation("roll", np.random.default_rng(0))
