from dataclasses import replace

import numpy as np
import pytest

from avssl.synth.scene import APART, Format, describe
from avssl.synth.sources.classes import KINDS
from avssl.synth.trajectories import unit_vector
from avssl.synth.video_render import render_frames

SCENES = [describe(7, index) for index in range(400)]
SHORT = Format(seconds=0.5, width=128)


def test_a_scene_is_a_function_of_seed_and_number():
    assert describe(7, 3) == SCENES[3]
    assert describe(7, 3) != describe(8, 3)


def test_scenes_hold_what_was_asked_for():
    assert len(KINDS) >= 10
    counts = {len(scene.things) for scene in SCENES}
    sounding = {sum(thing.sounding for thing in scene.things) for scene in SCENES}
    assert counts == {2, 3, 4, 5, 6}
    assert sounding == {1, 2, 3}
    assert {thing.kind for scene in SCENES for thing in scene.things} == {kind.name for kind in KINDS}


def test_a_quarter_of_the_scenes_has_a_silent_look_alike_of_a_sounding_object():
    def has_one(scene):
        return any(a.kind == b.kind and a.sounding and not b.sounding for a in scene.things for b in scene.things)

    assert np.mean([has_one(scene) for scene in SCENES]) == pytest.approx(0.25, abs=0.06)


def test_objects_start_apart():
    for scene in SCENES:
        starts = np.array(
            [unit_vector(*map(np.array, (each.path.azimuth, each.path.elevation))) for each in scene.things]
        )
        cosines = (starts @ starts.T)[~np.eye(len(starts), dtype=bool)]
        assert cosines.max() < np.cos(APART) + 1e-9


def test_azimuths_are_uniform():
    azimuths = np.array([thing.path.azimuth for scene in SCENES for thing in scene.things])
    counts, _ = np.histogram(azimuths, 8, (-np.pi, np.pi))
    expected = len(azimuths) / 8
    assert ((counts - expected) ** 2 / expected).sum() < 24.3  # 0.1 % of chi-square with 7 degrees of freedom


def test_paths_are_smooth_and_stay_in_reach():
    times = np.arange(0, 10, 0.01)
    for scene in SCENES[:100]:
        for thing in scene.things:
            azimuth, elevation, distance = thing.path.at(times)
            assert np.abs(np.diff(azimuth)).max() < np.radians(40) * 0.01
            assert np.abs(np.diff(azimuth, 2)).max() < np.radians(30) * 0.01**2
            assert np.abs(elevation).max() < np.radians(45)
            assert distance.min() > 1.0
            assert distance.max() < 5.2


def test_the_image_is_the_same_whichever_objects_audio():
    scene = SCENES[0]
    flipped = replace(scene, things=tuple(replace(thing, sounding=not thing.sounding) for thing in scene.things))
    for frame, other in zip(render_frames(scene, SHORT), render_frames(flipped, SHORT), strict=True):
        assert (frame == other).all()
