"""Scene types of mono3d: joined, in splits of their own, behind the viewer, and before a turned camera (P5)."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from avssl.spatial.ambisonics import rotate
from avssl.synth.canvas.compositing import Canvas
from avssl.synth.mono3d.camera_turn import STEEPEST, CameraTurn, TurnedWalk
from avssl.synth.mono3d.mono3d_dataset import Mono3d, Mono3dOptions, mono3d
from avssl.synth.mono3d.mono3d_scene import Walker, WalkScene
from avssl.synth.random_walk import Walk
from avssl.synth.sources.source_pool import Appearance, Source

OPTIONS = Mono3dOptions(seed=5, seconds=1.0, width=96, height=64, sample_rate=16000)


def scenes(count=24, **change):
    world = Mono3d(replace(OPTIONS, **change))
    return world, [world.describe(index) for index in range(count)]


def still(angles):
    return CameraTurn(angles, angles, 1.0)


def test_types_are_joined_and_each_as_often():
    _, found = scenes(200, type="P1+P2", objects=2)
    share = np.mean([scene.type == "P1" for scene in found])
    assert 0.4 < share < 0.6
    assert {len(scene.walkers) for scene in found if scene.type == "P2"} == {2}
    assert {len(scene.walkers) for scene in scenes(60, type="P2")[1]} == {2, 3}
    assert {len(scene.walkers) for scene in scenes(60, type="P3", objects=4)[1]} == {2, 3, 4}


def test_scenes_of_split_test_have_types_of_their_own():
    world, found = scenes(80, type="P1+P2", test_type="P3", objects=2)
    assert {scene.type for scene in found[3::4]} == {"P3"}
    assert {scene.type for scene in found} - {"P3"} == {"P1", "P2"}
    assert world.settings()["test_share"] == 0.25
    plain = scenes(80, type="P1+P2", objects=2)[1]
    assert [scene.type for scene in plain if scene.index % 4 != 3] == [
        scene.type for scene in found if scene.index % 4 != 3
    ]


def test_mixed_scenes_and_their_settings_are_what_they_were():
    world, found = scenes(4)
    assert [(scene.type, [walker.actor.kind for walker in scene.walkers]) for scene in found] == [
        ("P4", ["drum", "water", "horn", "bird"]),
        ("P3", ["whistle", "whistle"]),
        ("P3", ["horn", "horn", "horn"]),
        ("P2", ["face", "bird", "whistle"]),
    ]
    first = [scene.walkers[0].walk.places[0, 2] for scene in found]
    assert first == pytest.approx([0.370422005, -0.837769455, -0.648731629, -0.587133399], abs=1e-8)
    assert not {"objects", "depth", "test_type", "test_share"} & set(world.settings())


def test_sources_are_before_the_viewer_or_one_of_them_is_behind():
    for depth, behind in (("front", 0), ("behind", 1)):
        for kind in ("P1", "P2", "P4"):
            world, found = scenes(3, type=kind, depth=depth)
            for scene in found:
                rows = world.truth(scene).to_pylist()
                far = {row["object"] for row in rows if row["z"] < 0}
                assert len(far) == behind
                assert all(row["sounding"] and not row["visible"] for row in rows if row["object"] in far)
                assert all(abs(row["azimuth"]) >= 90 for row in rows if row["object"] in far)


@pytest.mark.parametrize("angles", [(0.6, 0.0, 0.0), (0.0, 0.4, 0.0), (0.0, 0.0, 0.3), (-0.5, 0.4, -0.3)])
def test_a_turned_camera_has_the_sound_field_turned_the_other_way(angles):
    world, (scene, *_) = scenes(1, type="P2")
    camera = still(angles)
    walkers = tuple(replace(each, walk=TurnedWalk(each.walk, camera)) for each in scene.walkers)
    turned = world.audio(replace(scene, type="P5", walkers=walkers, camera=camera))
    yaw, pitch, roll = angles
    matrix = Rotation.from_euler("ZYX", [yaw, -pitch, roll]).inv().as_matrix()  # front, left, up
    wanted = rotate(torch.from_numpy(world.audio(scene).copy()), torch.from_numpy(matrix)).numpy()
    assert np.abs(turned - wanted).max() < 1e-5


def test_a_camera_turned_left_has_things_farther_right_and_turned_up_lower():
    ahead, times = np.array([[0.0, 0.0, 1.0]]), np.zeros(1)
    right, down, near = still((np.radians(30), 0.0, 0.0)).seen(ahead, times)[0]
    assert (right, down, near) == pytest.approx((0.5, 0, np.sqrt(3) / 2))
    assert still((0.0, np.radians(30), 0.0)).seen(ahead, times)[0] == pytest.approx((0, 0.5, np.sqrt(3) / 2))


@dataclass(frozen=True)
class Flag(Source):
    """A square whose quarters differ, and which is still."""

    kind: str = "flag"

    def audio(self, form):
        return np.ones(form.span().samples, np.float32)

    def appearance(self, form):
        image = np.zeros((64, 64, 4), np.uint8)
        image[8:56, 8:56, 3] = 255
        image[8:32, 8:56, 0], image[8:56, 8:32, 1] = 255, 255
        one = np.ones(len(form.frame_times()))
        return Appearance((image,), np.zeros(len(one), int), one, 0 * one, one)


def test_a_roll_turns_the_frame_and_all_in_it_counter_clockwise():
    form = Canvas(0.25, 128, 4.0, 16000, 128)
    world = Mono3d(Mono3dOptions(seconds=0.25, width=128, height=128, frame_rate=4.0, sample_rate=16000))
    walk = Walk(np.array([0.0, 9.0]), np.array([[0.4, -0.2, 0.5]] * 2))
    frames = []
    for roll in (0.0, np.pi / 2):
        camera = still((0.0, 0.0, roll))
        walker = Walker(Flag(), TurnedWalk(walk, camera), 1.0)
        frames.append(next(iter(world.frames(WalkScene(0, "P5", (walker,), None, None, camera)))).astype(int))
    assert form.lens().width == frames[0].shape[1]
    assert frames[0].any()
    difference = np.abs(np.rot90(frames[0]) - frames[1])
    assert (difference > 64).mean() < 0.01  # edges, between pixels


def test_scenes_of_p5_turn_evenly_within_their_angles_and_the_truth_has_them():
    world, found = scenes(4, type="P5")
    for scene in found:
        angles = scene.camera.angles(world.form.frame_times())
        assert (np.abs(angles) <= STEEPEST).all()
        assert np.diff(angles, 2, axis=0) == pytest.approx(0, abs=1e-12)
        rows = world.truth(scene).to_pylist()
        found_angles = [[row[f"camera_{name}"] for name in ("yaw", "pitch", "roll")] for row in rows]
        assert np.radians(found_angles) == pytest.approx(angles.repeat(len(scene.walkers), 0), abs=1e-6)
        assert 2 <= len({walker.actor.kind for walker in scene.walkers}) == len(scene.walkers)
        places = np.concatenate([walker.walk.at(world.form.frame_times()) for walker in scene.walkers])
        assert (np.linalg.norm(places, axis=1) <= np.sqrt(3) + 1e-9).all()
    assert "camera_yaw" not in Mono3d(OPTIONS).truth(Mono3d(OPTIONS).describe(0)).column_names


def test_a_folder_goes_on_with_its_types_only(tmp_path):
    small = {"width": 64, "height": 32, "frame_rate": 4.0, "sample_rate": 16000, "workers": 1, "progress": False}
    mono3d(tmp_path, 1, 0.25, 0, type="P1+P2", **small)
    with pytest.raises(ValueError, match="expected objects 3, which it was written with, got 2"):
        mono3d(tmp_path, 1, 0.25, 0, type="P1+P2", objects=2, **small)
    with pytest.raises(ValueError, match="expected depth 'all', which it was written with, got 'front'"):
        mono3d(tmp_path, 1, 0.25, 0, type="P1+P2", depth="front", **small)
