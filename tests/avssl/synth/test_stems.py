"""Stems of synthetic scenes: their sum is the recording without its noise; gains are those of direct sound."""

import json
from dataclasses import replace

import numpy as np
import pytest

from avssl.errors import InputError
from avssl.synth.mono3d.mono3d_dataset import Mono3d, Mono3dOptions
from avssl.synth.pseudo_binaural.pseudo_binaural_dataset import (
    PseudoBinaural,
    PseudoBinauralOptions,
    PseudoBinauralStage,
    PseudoBinauralStageOptions,
)
from avssl.synth.stage.stage_dataset import Stage, StageOptions
from avssl.synth.stored_dataset import stored_dataset
from avssl.synth.synth360 import Synth360, Synth360Options, Synth360Order2, Synth360Order2Options

SHORT = {"seconds": 0.5, "sample_rate": 16000, "seed": 3}
WORLDS = {
    "synth360": Synth360(Synth360Options(**SHORT)),
    "synth360-order-2": Synth360Order2(Synth360Order2Options(**SHORT)),
    "stage": Stage(StageOptions(**SHORT)),
    "mono3d": Mono3d(Mono3dOptions(**SHORT)),
    "pseudo-binaural": PseudoBinaural(PseudoBinauralOptions(**SHORT)),
}


def scenes(world, count=3):
    return [world.describe(index) for index in range(count)]


@pytest.mark.parametrize("name", WORLDS)
def test_the_sum_of_stems_is_the_recording_without_its_noise(name):
    world = WORLDS[name]
    for scene in scenes(world):
        audio, stems = world.audio(scene), world.stems(scene)
        rest = audio - sum(stems.values())
        if name in ("synth360", "synth360-order-2", "stage"):
            quiet = world.audio(replace(scene, room=replace(scene.room, noise=np.inf)))
            # Without noise the level is another: compare up to a factor.
            total = sum(stems.values())
            gain = (quiet * total).sum() / (quiet**2).sum()
            assert np.abs(gain * quiet - total).max() < 1e-4 * np.abs(total).max()
            power = (rest[0] ** 2).mean() / (total[0] ** 2).mean() if name != "stage" else None
            if power:
                assert 10 * np.log10(power) == pytest.approx(-scene.room.noise, abs=1.5)
        elif getattr(scene, "around", None) is None:
            assert np.abs(rest).max() < 1e-5


def test_stems_are_of_the_objects_that_sound_in_the_truth():
    for world in WORLDS.values():
        for scene in scenes(world):
            truth = world.truth(scene).to_pydict()
            sounding = {n for n, sounds in zip(truth["object"], truth["sounding"], strict=True) if sounds}
            assert set(world.stems(scene)) == sounding


@pytest.mark.parametrize("name", ["synth360", "synth360-order-2", "mono3d"])
def test_channels_of_anechoic_stems_are_w_times_the_gains(name):
    world = WORLDS[name]
    times = world.form.sample_times()
    for scene in scenes(world):
        dry = replace(scene, room=scene.room.anechoic()) if name != "mono3d" else scene
        gains = world.gains(dry, times)
        for number, stem in world.stems(dry).items():
            np.testing.assert_allclose(stem[1:], gains[number] * stem[0], atol=1e-5)


def test_gains_of_all_objects_point_where_the_truth_says():
    for name in ("synth360", "mono3d"):
        world = WORLDS[name]
        for scene in scenes(world):
            truth = world.truth(scene).to_pydict()
            gains = world.gains(scene, world.form.frame_times())
            for number, frame, *angles in zip(
                *(truth[key] for key in ("object", "frame", "azimuth", "elevation")), strict=True
            ):
                azimuth, elevation = np.radians(angles)
                flat = np.cos(elevation)
                place = [flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)]
                found = gains[number][:, frame]
                np.testing.assert_allclose(found / np.linalg.norm(found), place, atol=1e-4)


def test_mirrored_scenes_of_the_stage_have_mirrored_stems():
    world = WORLDS["stage"]
    scene = next(each for each in scenes(world, 12) if each.mirrored)
    plain, mirrored = world.stems(replace(scene, mirrored=False)), world.stems(scene)
    for number, stem in mirrored.items():
        np.testing.assert_array_equal(stem, plain[number][::-1])


@pytest.mark.parametrize("name", [*WORLDS, "pseudo-binaural-stage"])
def test_a_stored_dataset_has_the_same_scenes(name, tmp_path):
    world = WORLDS.get(name) or PseudoBinauralStage(PseudoBinauralStageOptions(**SHORT))
    (tmp_path / "scenes.json").write_text(json.dumps(world.settings()))
    found = stored_dataset(tmp_path)
    assert found.settings() == world.settings()
    np.testing.assert_array_equal(found.audio(found.describe(1)), world.audio(world.describe(1)))


@pytest.mark.parametrize(
    "changed", [{"version": 99}, {"media": "of a user"}, {"world": "actions"}, {"head": "0123456789abcdef"}]
)
def test_scenes_that_cannot_be_rendered_again_are_refused(changed, tmp_path):
    (tmp_path / "scenes.json").write_text(json.dumps(WORLDS["stage"].settings() | changed))
    with pytest.raises(InputError, match="expected scenes of built-in objects"):
        stored_dataset(tmp_path)


def test_recordings_have_no_stems(tmp_path):
    with pytest.raises(InputError, match="expected a synthetic dataset"):
        stored_dataset(tmp_path)
