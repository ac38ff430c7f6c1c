"""Dense correspondence: views rotate sight and sound together, cells are seamless, and the task learns content."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from avssl_tasks.dense_avc import (
    DenseAvc,
    DenseAvcOptions,
    heat_maps,
    mean_deviation,
    resized,
    retrieval_accuracy,
    time_steps,
)
from torch import Tensor
from torch.utils.data import default_collate

from avssl.config import DataConfig, FeatureConfig, ModelConfig, fill
from avssl.data.clip import Clip
from avssl.errors import InputError
from avssl.models.encoder_factory import build_encoders
from avssl.spatial.ambisonics import angle_between, angles, direction, encode, intensity_direction, rotate, rotation
from avssl.spatial.energy_map import equal_area_grid, equirectangular_grid
from avssl.testing import check_task, make_clips

SMALL: dict[str, Any] = {"height": 32, "crops": 2, "size": 32, "colour": dict.fromkeys(("brightness", "contrast",
                         "saturation", "hue"), 0.0)}  # fmt: skip


def make(features: str = "mono-logmel", seed: int = 0, **options: Any) -> DenseAvc:
    torch.manual_seed(seed)
    encoders = build_encoders(ModelConfig(), FeatureConfig(name=features))
    return DenseAvc(encoders, fill(DenseAvcOptions, SMALL | options))


def batch_of(task: DenseAvc, count: int = 3, seed: int = 0) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    return default_collate([task.views(clip, rng) for clip in make_clips(count, seed)])


def spot(azimuth: float, elevation: float) -> Clip:
    """White spot on black that emits noise."""
    noise = torch.randn(12000, generator=torch.Generator().manual_seed(0)) * 0.1
    rows, columns = torch.meshgrid(
        math.pi * (0.5 - (torch.arange(32) + 0.5) / 32), math.pi * (1 - (torch.arange(64) + 0.5) / 32), indexing="ij"
    )
    near = angle_between(columns, rows, azimuth, elevation) < 0.3
    frames = (255 * near.to(torch.uint8)).expand(1, 3, 32, 64).contiguous()
    return Clip(frames, encode(noise, azimuth, elevation), 24000, "spot")


@pytest.mark.parametrize(("features", "options"), [
    ("foa-iv", {"directions": 12}),
    ("beam-logmel", {"directions": 4, "position": 3}),
    ("mono-logmel", {"position": 2, "scene_rotation": "none"}),
])  # fmt: skip
def test_directions_and_positions_keep_the_contract(features: str, options: dict[str, Any]) -> None:
    check_task(make(features, **options), make_clips(3))


@pytest.mark.parametrize("scene_rotation", ["none", "yaw"])
@pytest.mark.parametrize("seed", range(6))
def test_frames_and_sound_field_are_rotated_and_mirrored_together(scene_rotation: str, seed: int) -> None:
    task = make("foa-iv", scene_rotation=scene_rotation, flip=0.5)
    views = task.views(spot(0.8, 0.4), np.random.default_rng(seed))
    azimuth, elevation, _ = intensity_direction(rotate(views["audio"], views["rotation"]), 24000)
    assert float(angle_between(azimuth, elevation, *centre(views["frames"][0, 0]))) < 0.1


def centre(frame: Tensor) -> tuple[Tensor, Tensor]:
    """Azimuth and elevation of what is bright in an equirectangular frame."""
    azimuth, elevation = equirectangular_grid(*frame.shape)
    vector = (direction(azimuth, elevation) * (frame.float() * elevation.cos())[..., None]).sum((0, 1))
    return angles(vector)


def test_mono_clips_are_taken_where_no_directions_are_asked_for() -> None:
    clip = spot(0.8, 0.4)
    mono = Clip(clip.frames, clip.audio[:1], clip.sample_rate, "mono")
    batch = default_collate([make().views(mono, np.random.default_rng(seed)) for seed in range(3)])
    of_w = batch | {"audio": batch["audio"].repeat(1, 4, 1), "rotation": torch.eye(3).repeat(3, 1, 1)}
    task = make().eval()
    torch.testing.assert_close(task(batch)["loss"], task(of_w)["loss"])
    for audio, features in ((clip.audio[:2], "mono-logmel"), (clip.audio[:1], "foa-iv")):
        other = Clip(clip.frames, audio, clip.sample_rate, "other")
        task = make(features, directions=0 if features == "mono-logmel" else 6)
        with pytest.raises(InputError, match=rf"4 channels.*, got {len(audio)} \(other\)"):
            task.views(other, np.random.default_rng(0))


def sources() -> list[Clip]:
    """Two clips of random frames, each with noise from one direction."""
    clips = make_clips(2)
    places = ((0.8, 0.3), (-1.9, -0.2))
    return [replace(clip, audio=encode(clip.audio[0], *place)) for clip, place in zip(clips, places, strict=True)]


def compared_turned(task: DenseAvc, cells: int, of_sound: bool = True) -> list[tuple[Tensor, Tensor]]:
    """Similarities and heat maps of two clips as they are, and of the clips turned by cells of 8 pixels to the left."""
    batch = default_collate([task.evaluation_views(clip, np.random.default_rng(0)) for clip in sources()])
    turned = batch | {"frames": batch["frames"].roll(-8 * cells, -1)}
    if of_sound:
        turned["rotation"] = rotation(2 * math.pi * 8 * cells / batch["frames"].shape[-1]).expand(2, 3, 3)
    with torch.inference_mode():
        return [task.compare(each) for each in (batch, turned)]


def test_rolling_the_scene_by_a_cell_rolls_the_heat_map_and_keeps_the_score() -> None:
    (similarity, maps), (other, other_maps) = compared_turned(make(height=64).eval(), 5)
    torch.testing.assert_close(other_maps, maps.roll(-5, -1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(other, similarity, atol=1e-4, rtol=1e-4)


def directional(directions: int, seed: int = 0) -> DenseAvc:
    """Task whose audio embeddings differ by direction, as after training: centred over the directions of two clips."""
    task = make("foa-iv", seed, height=64, directions=directions)
    for module in task.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        task.embed_audio(torch.stack([clip.audio for clip in sources()]), torch.eye(3).repeat(2, 1, 1))
    return task.eval()


def test_rotating_scene_and_sound_field_rotates_the_map_of_symmetric_directions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def rings(count: int) -> tuple[Tensor, Tensor]:
        azimuth, elevation = torch.meshgrid(
            torch.arange(8) * math.pi / 4, torch.tensor([-0.7, 0.0, 0.7]), indexing="ij"
        )
        return azimuth.flatten(), elevation.flatten()

    monkeypatch.setattr("avssl_tasks.dense_avc.equal_area_grid", rings)
    task = directional(24)
    (similarity, maps), (other, other_maps) = compared_turned(task, 2)  # 45 degrees, from ring to ring
    torch.testing.assert_close(other_maps, maps.roll(-2, -1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(other, similarity, atol=1e-4, rtol=1e-4)
    (_, maps), (_, alone) = compared_turned(task, 2, of_sound=False)
    assert (alone - maps.roll(-2, -1)).abs().max() > 0.05  # the sound field matters


def test_more_directions_of_the_lattice_rotate_the_map_more_exactly() -> None:
    errors = []
    for directions in (6, 96):
        compared = [compared_turned(directional(directions, seed), 5) for seed in range(0, 500, 100)]
        found = [(a - b.roll(-5, -1)).square().mean() / (b - b.mean()).square().mean() for (_, b), (_, a) in compared]
        errors.append(float(torch.stack(found).mean()))
    assert errors[1] < 0.3 * errors[0]


def twins(pulsing: tuple[bool, bool]) -> Tensor:
    """Panoramas `(1, 4, 3, 64, 128)` of two equal discs half a turn apart, each pulsing or still; alike in frame 0."""
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(128), indexing="ij")
    frames = torch.zeros(1, 4, 3, 64, 128, dtype=torch.uint8)
    for column, pulses in zip((32, 96), pulsing, strict=True):
        disc = (rows - 32) ** 2 + (columns - column) ** 2 < 60
        for time, light in enumerate((200, 120, 200, 120)):
            frames[:, time, :, disc] = light if pulses else 200
    return frames


@pytest.mark.parametrize("activity", [False, True])
@pytest.mark.parametrize("differences", [False, True])
def test_a_pulsing_thing_and_its_still_copy_have_different_cells_when_alike(activity: bool, differences: bool) -> None:
    task = make(height=64, activity=activity).eval()
    if not differences:  # of the small tower; other towers may have none
        torch.nn.init.zeros_(task.encoders.video.tower.difference.weight)  # type: ignore[union-attr, arg-type]
    with torch.inference_mode():
        same, one = (task.embed_cells(twins(pulsing))[0, 0, 4] for pulsing in ((False, False), (True, False)))
    torch.testing.assert_close(same[4], same[12], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(one[12], same[12], atol=1e-4, rtol=1e-4)
    changed = float((one[4] - one[12]).norm() / one[12].norm())
    assert changed > 0.02 if activity or differences else changed < 1e-4


def test_mean_deviation_is_0_for_still_maps_and_half_the_swing_of_alternating_ones() -> None:
    maps = torch.randn(1, 3, 1, 2, 2).repeat(1, 1, 4, 1, 1).requires_grad_()
    still = mean_deviation(maps)
    still.sum().backward()
    assert float(still.detach().abs().max()) < 1e-6
    assert maps.grad is not None
    assert bool(maps.grad.isfinite().all())
    swing = torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None, None]
    torch.testing.assert_close(mean_deviation(maps.detach() + 0.25 * swing), torch.full((1, 3, 2, 2), 0.25))


def test_activity_keeps_the_contract_and_needs_several_frames() -> None:
    check_task(make(activity=True), make_clips(3))
    still = spot(0.8, 0.4)
    with pytest.raises(InputError, match=r"data\.frames of 2 or more with activity, got 1"):
        make(activity=True).views(still, np.random.default_rng(0))


def test_directional_audio_depends_on_the_rotation_and_is_smooth_over_the_sphere() -> None:
    task, mono = make("foa-iv", directions=12).eval(), make().eval()
    batch = batch_of(task)
    turned = rotation(0.7) @ batch["rotation"]
    with torch.inference_mode():
        one, other = (task.embed_audio(batch["audio"], each)[0] for each in (batch["rotation"], turned))
        assert one.shape[0::2] == (3, 4 * 8)
        assert one.shape[3] == 128
        assert not torch.allclose(one, other, atol=1e-2)
        same = [mono.embed_audio(batch["audio"], each)[0] for each in (batch["rotation"], turned)]
    torch.testing.assert_close(*same, atol=1e-4, rtol=1e-4)
    weights = task.nearness(*equal_area_grid(12))
    torch.testing.assert_close(weights.sum(1), torch.ones(32))
    nearest = angle_between(*(each.flatten()[:, None] for each in task.grid), *equal_area_grid(12)).argmin(1)
    assert torch.equal(weights.argmax(1), nearest)


def test_heat_map_is_the_mean_cosine_of_cell_and_time_steps_of_the_audio() -> None:
    cells, audio = torch.randn(2, 3, 4, 8, 5), torch.randn(2, 6, 32, 5)
    found = heat_maps(audio, cells)
    assert found.shape == (2, 3, 4, 8)
    expected = torch.nn.functional.cosine_similarity(cells[1, 2, 3, 6], audio[1, :, 3 * 8 + 6], dim=-1).mean()
    torch.testing.assert_close(found[1, 2, 3, 6], expected)
    torch.testing.assert_close(heat_maps(audio[:, :, 0], cells)[0, 0, 0, 0], found[0, 0, 0, 0])


def test_sources_that_sound_in_turn_are_each_found_by_their_time_steps() -> None:
    task = make(height=64)
    one, other, third = torch.eye(128)[:3]
    both = torch.full((1, 1, 8, 16, 128), 0.0)
    both[..., 3] = 1.0  # surroundings
    both[0, 0, 4, 2], both[0, 0, 4, 10] = one, other
    turns = torch.stack([one, other])[None]
    alone = [float(task._similarity(step[None, None], both)) for step in (one, other, third)]
    assert min(alone[:2]) > 0.7 > 0.1 > alone[2]
    assert float(task._similarity(turns, both)) == pytest.approx((alone[0] + alone[1]) / 2)
    blend = float(task._similarity((one + other)[None, None], both))
    assert blend < float(task._similarity(turns, both)) - 0.2  # one embedding of both fits neither


def test_time_steps_are_means_over_bands_in_their_order_in_time() -> None:
    maps = torch.arange(2 * 3 * 5 * 16.0).view(2, 3, 5, 16)
    found = time_steps(maps)
    assert found.shape == (2, 5, 24)
    torch.testing.assert_close(found[1, 4, 8:16], maps[1, 1, 4].view(8, 2).mean(1))
    assert time_steps(maps[..., :6]).shape == (2, 5, 18)


def test_accuracy_is_of_audio_by_frames() -> None:
    assert float(retrieval_accuracy(torch.tensor([[1.0, 0.0], [2.0, 3.0]]))) == 0.5
    assert float(retrieval_accuracy(torch.tensor([[1.0, 2.0], [0.0, 3.0]]))) == 1.0


def test_frames_are_averaged_over_areas() -> None:
    frames = torch.arange(2 * 3 * 4 * 8).view(2, 3, 4, 8).to(torch.uint8)
    small = resized(frames, 2, 4)
    assert small.shape == (2, 3, 2, 4)
    assert int(small[1, 2, 1, 3]) == 187  # 186.5, the mean of 182, 183, 190 and 191, rounded
    assert resized(frames, 4, 8) is frames


@pytest.mark.heavy
def test_a_few_steps_match_audio_with_the_cell_that_shows_its_source() -> None:
    task = make(flip=0.0, padding=8, height=64)
    batch = batch_of(task, 8)
    optimizer = torch.optim.Adam(task.parameters(), 2e-3)
    first = task(batch)
    for _ in range(30):
        optimizer.zero_grad()
        task(batch)["loss"].backward()
        optimizer.step()
    last = task(batch)
    for name in ("cell_loss", "crop_loss"):
        assert last[name] < 0.6 * first[name]
    assert float(last["avc_acc"]) > 0.5


@pytest.mark.parametrize(("features", "wrong", "message"), [
    ("mono-logmel", {"directions": 4}, "directions=0 with features mono-logmel"),
    ("foa-iv", {"padding": 12}, "multiples of the 8 pixels of a cell, got 12"),
    ("foa-iv", {"padding": 80}, "at most the 64 columns"),
    ("foa-iv", {"padding": -8}, "padding of at least 0"),
    ("foa-iv", {"sharpness": 0.0}, "positive sharpness"),
    ("foa-iv", {"crop_weight": 0.0}, "positive crop_weight"),
    ("foa-iv", {"temperature": 0.0}, "positive temperature"),
        ("foa-iv", {"sharpness": math.inf}, "sharpness to be a finite number"),
    ("foa-iv", {"scene_rotation": "any"}, "scene_rotation is none, yaw"),
    ("foa-iv", {"flip": 2.0}, "flip"),
    ("foa-iv", {"crops": 0}, "crops"),
])  # fmt: skip
def test_options_out_of_range_are_errors_that_name_them(features: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(features, **wrong)


def test_geometry_is_that_of_the_crops_that_train_the_pooled_embeddings() -> None:
    geometry = make(min_fov=90.0, max_fov=100.0).geometry(DataConfig(seconds=1.0, frames=2))
    assert (geometry.size, geometry.min_fov, geometry.max_fov, geometry.frames) == (32, 90.0, 100.0, 2)
