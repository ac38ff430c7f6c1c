"""The stage with sources on both sides, and the stage with sources on one, which is what it was."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from avssl.spatial.binaural import render, spherical_head
from avssl.synth.stage.both_sides import BYSTANDER, SOURCES, TWIN
from avssl.synth.stage.stage_dataset import Stage, StageOptions, stage

OPTIONS = StageOptions(seed=7, seconds=4.0, width=96, height=64, sides="both")
SMALL = {"width": 64, "height": 32, "frame_rate": 4.0, "sample_rate": 16000, "workers": 1, "progress": False}
COUNT = 1000


def azimuths(scene, times):
    """Degrees `(objects, times)` as seen, left is positive."""
    return (-1 if scene.mirrored else 1) * np.degrees([thing.path.at(times)[0] for thing in scene.things])


@pytest.fixture(scope="module")
def scenes():
    """Scenes, and azimuths of their sources over 4 s."""
    found = [Stage(OPTIONS).describe(index) for index in range(COUNT)]
    times = Stage(OPTIONS).form.frame_times()
    sounding = [[thing.sounding for thing in scene.things] for scene in found]
    return found, [azimuths(scene, times)[which] for scene, which in zip(found, sounding, strict=True)]


def deviates(count, share, of=COUNT):
    """Standard deviations of a binomial by which a count differs from its expectation."""
    return abs(count - share * of) / np.sqrt(of * share * (1 - share))


def test_there_are_one_to_three_sources_in_their_shares(scenes):
    counts = Counter(len(each) for each in scenes[1])
    assert set(counts) == {1, 2, 3}
    assert all(deviates(counts[number], share) < 3.5 for number, share in enumerate(SOURCES, 1))


def test_both_sides_are_used_alike_and_half_of_the_time_at_once(scenes):
    sides = [np.sign(each) for each in scenes[1]]
    assert np.mean(np.concatenate([each.mean(1) for each in sides])) == pytest.approx(0, abs=0.05)
    at_once = np.array([((each > 0).any(0) & (each < 0).any(0)).mean() for each in sides])
    by_count = [at_once[[len(each) == number for each in sides]].mean() for number in (1, 2, 3)]
    # Independent sides differ in 1 of 2 cases, of three sources in 3 of 4; paths keep apart, which adds a little.
    assert by_count[0] == 0
    assert 0.5 < by_count[1] < 0.6
    assert 0.75 < by_count[2] < 0.82
    assert 0.45 < at_once.mean() < 0.55


def test_sources_cross_the_middle_in_more_than_half_of_the_scenes(scenes):
    crossing = np.array([(np.ptp(np.sign(each), axis=1) > 0).any() for each in scenes[1]])
    assert 0.5 < crossing.mean() < 0.65
    alone = [bool(each) for each, source in zip(crossing, scenes[1], strict=True) if len(source) == 1]
    assert 0.25 < np.mean(alone) < 0.5


def test_of_two_twins_one_sounds_whichever_is_drawn_first(scenes):
    pairs, spare = [], 0
    for scene in scenes[0]:
        silent = [thing for thing in scene.things if not thing.sounding]
        spare += len(silent)
        kinds = Counter(thing.kind for thing in scene.things)
        assert len(silent) <= 1
        if max(kinds.values()) > 1:
            pair = [thing for thing in scene.things if kinds[thing.kind] == 2]
            assert sorted(thing.sounding for thing in pair) == [False, True]
            pairs.append(pair[0].sounding)
    assert deviates(len(pairs), TWIN) < 3.5
    assert deviates(spare, TWIN + BYSTANDER) < 3.5
    assert deviates(sum(pairs), 0.5, len(pairs)) < 3.5


@pytest.mark.parametrize("fov", [60.0, 90.0])
def test_objects_stay_in_view_however_long_the_scene(fov):
    wide = Stage(replace(OPTIONS, fov=fov))
    times = np.arange(0, 120, 0.05)
    farthest = max(np.abs(azimuths(wide.describe(index), times)).max() for index in range(100))
    assert 0.9 * 38 * fov / 90 < farthest < 38.01 * fov / 90


def test_sources_through_the_head_at_their_directions_are_the_recording():
    dry = Stage(replace(OPTIONS, room=False, seconds=1.0, sample_rate=16000))
    head, times = spherical_head(16000), dry.form.sample_times()
    for index in range(4):
        scene = replace(dry.describe(index), mirrored=False)
        recording, alone = dry.audio(scene), dry.sources(scene)
        sounding = [thing for thing in scene.things if thing.sounding]
        assert alone.shape == (len(sounding), 16000)
        rebuilt = np.zeros_like(recording)
        for thing, source in zip(sounding, alone, strict=True):
            azimuth, elevation, _ = (torch.from_numpy(each) for each in thing.path.at(times))
            rebuilt += render(torch.from_numpy(source.copy()), azimuth, elevation, head).numpy()
        rest = (recording - rebuilt)[:, 200:]  # before, the head rings on from before the scene
        assert (rest**2).sum() < 5e-3 * (recording**2).sum()  # two ways to interpolate between samples
        other = recording[::-1] - rebuilt
        assert (other**2).sum() > 5e-2 * (recording**2).sum()


def test_a_mirrored_scene_has_the_same_sources_on_the_other_side():
    world = Stage(replace(OPTIONS, seconds=0.5, sample_rate=16000))
    plain, other = (replace(world.describe(1), mirrored=mirrored) for mirrored in (False, True))
    assert np.array_equal(world.audio(plain)[::-1], world.audio(other))
    assert np.array_equal(world.sources(plain), world.sources(other))
    assert np.array_equal(next(iter(world.frames(plain)))[:, ::-1], next(iter(world.frames(other))))
    here, there = (world.truth(scene)["azimuth"].to_numpy() for scene in (plain, other))
    assert np.array_equal(here, -there)


def test_the_stage_with_sources_on_one_side_is_what_it_was():
    scenes = [Stage(StageOptions(seed=5)).describe(index) for index in range(3)]
    assert [(scene.mirrored, scene.background) for scene in scenes] == [
        (False, 1630199977), (False, 1187797026), (True, 1073748836),
    ]  # fmt: skip
    found = [(thing.kind, thing.sounding, thing.path.azimuth) for scene in scenes for thing in scene.things]
    before = [
        ("water", True, 0.3681754222167339), ("siren", True, 0.6613056876655935), ("horn", False, 0.5643024776242886),
        ("alarm", True, 0.39647492370900816), ("whistle", True, 0.5910156019949747),
        ("siren", True, 0.25452023131531265),
    ]  # fmt: skip
    assert [each[:2] for each in found] == [each[:2] for each in before]
    assert [each[2] for each in found] == pytest.approx([each[2] for each in before], abs=1e-12)


def test_files_hold_directions_sources_and_which_object_sounds(tmp_path):
    stage(tmp_path / "both", 2, 0.5, 7, sides="both", **SMALL)
    stage(tmp_path / "one", 2, 0.5, 7, **SMALL)
    assert not list((tmp_path / "one").rglob("*sources*"))
    world = Stage(StageOptions(2, 0.5, 7, 4.0, 16000, width=64, height=32, sides="both"))
    rows = pq.read_table(tmp_path / "both/truth.parquet").to_pylist()
    for index in range(2):
        scene = world.describe(index)
        stored = soundfile.read(tmp_path / f"both/media/{index:05d}-sources.wav", always_2d=True)[0].T
        assert np.abs(stored - world.sources(scene)).max() < 1 / 32768
        mine = [row for row in rows if row["key"] == f"{index:05d}"]
        assert len({row["object"] for row in mine if row["sounding"]}) == len(stored)
        for row in mine:
            assert row["sounding"] == scene.things[row["object"]].sounding
            place = azimuths(scene, np.array([row["time"]]))[row["object"], 0]
            assert row["azimuth"] == pytest.approx(place, abs=1e-4)


def test_a_folder_goes_on_with_its_sides_only(tmp_path):
    stage(tmp_path, 1, 0.25, 0, **SMALL)
    assert "sides" not in Stage(StageOptions()).settings()  # folders rendered before the option was there go on
    with pytest.raises(ValueError, match="expected sides 'one', which it was written with, got 'both'"):
        stage(tmp_path, 1, 0.25, 0, sides="both", **SMALL)
    with pytest.raises(ValueError, match="stage: sides is one or both, not 'left'"):
        stage(tmp_path / "new", 1, 0.25, 0, sides="left", **SMALL)
    assert not (tmp_path / "new").exists()
