"""Scenes of synth360 and the stage from a user's clips, backgrounds, room responses and ambience."""

import hashlib
import json
import os
from dataclasses import replace

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.datasets.manifest import read_manifest
from avssl.media import write_audio, write_spatial_mp4, write_video
from avssl.spatial.ambisonics import encode
from avssl.synth.acoustics.foa_render import render_audio
from avssl.synth.annotations.sphere import truth
from avssl.synth.projection.lens import Panorama
from avssl.synth.projection.pinhole import Camera
from avssl.synth.scene import Format, describe
from avssl.synth.stage.stage_dataset import Stage, StageOptions
from avssl.synth.synth360 import Synth360, Synth360Options, synth360
from avssl.synth.trajectories import Oscillation, Path
from avssl.synth.user_clips.clip_object import ClipObject
from avssl.synth.user_media.ambience_recording import AmbienceExcerpt, load_recordings
from avssl.synth.user_media.background_image import BackgroundImage
from avssl.synth.user_media.media_files import Splitter, groups, split_files
from avssl.synth.video_render import render_frames
from avssl.testing import check_synthetic_dataset

RATE = 16000
SMALL = {"clips": 4, "seconds": 0.5, "frame_rate": 4.0, "sample_rate": RATE, "width": 64}
STILL = Oscillation(0.0, 0.0, 0.0)
KINDS = {"cat": (220, 30, 30), "dog": (30, 200, 30)}
"""Kind -> colour of its clips."""


def plane_wave(azimuth, seconds=1.5, seed=0):
    """Noise from one direction, `(4, samples)`."""
    noise = torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(seed)) / 10
    return encode(noise, float(np.radians(azimuth)), 0.0).numpy()


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Two clips of two kinds each, three panoramas, three rooms, three recordings."""
    folder = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(0)
    entries = []
    for number, (label, colour) in enumerate([*KINDS.items()] * 2):
        frames = np.full((9, 64, 96, 3), 120 + number, np.uint8)
        frames[:, 20:44, 30:66] = colour
        write_video(folder / f"{number}.mp4", frames, 6.0, crf=5)
        write_audio(folder / f"{number}.wav", 0.1 * rng.standard_normal((1, 24000)), RATE)
        box = {"time": 0.0, "box": [30 / 96, 20 / 64, 66 / 96, 44 / 64]}
        entries.append({"video": f"{number}.mp4", "audio": f"{number}.wav", "label": label, "boxes": [box]})
    note = {"format": "avssl-sources", "version": 1, "sources": entries}
    (folder / "sources.json").write_text(json.dumps(note))
    for name in ("backgrounds", "rirs", "ambience"):
        (folder / name).mkdir()
    for number in range(3):
        image = rng.integers(0, 255, (32, 64, 3), np.uint8)
        cv2.imwrite(str(folder / f"backgrounds/{number}.png"), image)
        impulse = np.zeros((4, 800))
        impulse[:, 100] = 0.5, 0.5, 0, 0
        impulse[:, 200:] = 0.01 * rng.standard_normal((4, 600))
        soundfile.write(folder / f"rirs/{number}.wav", impulse.T, RATE, subtype="FLOAT")
        soundfile.write(folder / f"ambience/{number}.wav", plane_wave(40.0, seed=number).T, RATE, subtype="FLOAT")
    return folder


def options(media, kind=Synth360Options, **change):
    folders = {name: str(media / name) for name in ("backgrounds", "rirs", "ambience")}
    height = {"height": 32} if kind is StageOptions else {}
    return kind(**(SMALL | height | folders | {"sources": str(media / "sources.json")} | change))


@pytest.mark.heavy
@pytest.mark.parametrize(("kind", "own"), [(Synth360, Synth360Options), (Stage, StageOptions)])
def test_scenes_of_a_users_media_keep_the_contract_and_go_on(media, tmp_path, kind, own):
    chosen = options(media, own, clips=2, test_share=0.5)
    out = check_synthetic_dataset(kind(chosen), tmp_path).parent
    rows = pq.read_table(out / "truth.parquet").to_pylist()
    assert {row["kind"] for row in rows} <= set(KINDS)
    assert {row["key"] for row in rows if row["sounding"]} == {"00000", "00001"}
    assert [row.split for row in read_manifest(out)] == ["train", "test"]
    before = (out / "media/00001.wav").read_bytes()
    (out / "media/00001.wav").unlink()
    kind(chosen).render(out, workers=1, progress=False)
    assert (out / "media/00001.wav").read_bytes() == before


def test_sources_of_a_users_clips_are_on_both_sides_and_have_silent_twins(media, tmp_path):
    world = Stage(options(media, StageOptions, sides="both", test_share=0.0))
    world.read_inputs(tmp_path)
    scenes = [world.describe(index) for index in range(80)]
    sources = [[thing for thing in scene.things if thing.sounding] for scene in scenes]
    assert {len(each) for each in sources} == {1, 2, 3}
    assert {thing.kind for each in sources for thing in each} == set(KINDS)
    assert any({thing.path.azimuth > 0 for thing in each} == {True, False} for each in sources)
    pairs = [scene.things for scene in scenes if [thing.kind for thing in scene.things] in (["cat"] * 2, ["dog"] * 2)]
    assert pairs
    assert all(sorted(thing.sounding for thing in pair) == [False, True] for pair in pairs)
    assert all(len(scene.responses) == len(scene.things) for scene in scenes)


def used(scene):
    """Contents of the files that a scene is made of; copies are the same."""
    paths = [scene.image.path, scene.ambience.recording.path, *(each.path for each in scene.responses)]
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in paths} | {thing.file for thing in scene.things}


@pytest.mark.parametrize("seed", range(4))
def test_no_file_is_in_both_splits_and_both_have_all_kinds(media, tmp_path, seed):
    world = Synth360(options(media, seed=seed, test_share=0.5))
    world.read_inputs(tmp_path)
    scenes = [world.describe(index) for index in range(40)]
    train, test = (set().union(*(used(each) for each in scenes[first::2])) for first in (0, 1))
    assert not train & test
    kinds = [{thing.kind for scene in scenes[first::2] for thing in scene.things} for first in (0, 1)]
    assert kinds == [set(KINDS)] * 2


def test_settings_name_media_by_their_contents_and_nothing_without_them(media, tmp_path):
    plain = set(Synth360(Synth360Options()).settings())
    assert not {"backgrounds", "rirs", "ambience", "test_share", "sources"} & plain
    named = SMALL | {"clips": 1, "workers": 1, "progress": False, "backgrounds": str(media / "backgrounds")}
    synth360(tmp_path, **named)
    with pytest.raises(ValueError, match=r"expected test_share 0.25, which it was written with, got 0.5"):
        synth360(tmp_path, **named, test_share=0.5)


def test_copies_and_files_of_one_subfolder_stay_together(tmp_path):
    assert groups([{1, 2}, {3}, {2, 4}, {5}, {4}]) == [0, 1, 0, 2, 0]
    for name, text in {"a/1": "x", "a/2": "y", "b/3": "y", "4": "z", "5": "w"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    items = [(path, path.name) for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    for seed in range(10):
        split = split_files(tmp_path, items, Splitter(0.4), np.random.default_rng(seed), "files")
        assert sorted(split.train + split.test) == list("12345")
        assert {"1", "2", "3"} <= set(split.train) or {"1", "2", "3"} <= set(split.test)
        assert len(split.test) in (1, 3)
        assert split.train


def test_a_file_of_two_folders_is_in_one_split(tmp_path):
    for name in ("one/a", "one/b", "two/a", "two/c", "two/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name[-1])
    for seed in range(10):
        splitter, rng = Splitter(0.5), np.random.default_rng(seed)
        found = []
        for folder in (tmp_path / "one", tmp_path / "two"):
            items = [(path, path.name) for path in sorted(folder.iterdir())]
            found.append(split_files(folder, items, splitter, rng, "files"))
        assert ("a" in found[0].test) == ("a" in found[1].test)
        assert all(each.train and each.test for each in found)


def test_a_panorama_is_turned_as_a_whole(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (32, 64, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    drawn = [BackgroundImage(tmp_path / "a.png", seed).draw(Panorama(64)) for seed in range(8)]
    shifts = [next(k for k in range(64) if np.array_equal(np.roll(image, k, 1), each)) for each in drawn]
    assert len(set(shifts)) > 4


def test_the_stage_sees_a_panorama_through_its_camera(tmp_path):
    azimuth = np.pi * (1 - 2 * (np.arange(512) + 0.5) / 512)
    image = np.zeros((256, 512, 3), np.uint8)
    image[..., 0], image[..., 1] = 128 + 120 * np.cos(azimuth), 128 + 120 * np.sin(azimuth)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    camera = Camera(128, 64, np.pi / 2)
    row = BackgroundImage(tmp_path / "a.png", 3).draw(camera)[32].astype(float) - 128
    found = np.unwrap(np.arctan2(row[:, 1], row[:, 0]))
    wanted = np.arctan2(63.5 - np.arange(128), camera.focal)
    assert np.degrees(np.abs(found - found.mean() - wanted)).max() < 1.5


def test_a_photograph_fills_the_frame_of_the_stage_and_keeps_its_shape(tmp_path):
    rows, columns = np.mgrid[0:300, 0:400]
    image = np.stack([columns / 2, rows / 2, 0 * rows], -1).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    for seed in range(4):
        drawn = BackgroundImage(tmp_path / "a.png", seed).draw(Camera(128, 64, np.pi / 2)).astype(float)
        lines = drawn[32, :, 0], drawn[:, 64, 1]
        across, down = (np.polyfit(np.arange(len(line)), line, 1)[0] for line in lines)
        assert across == pytest.approx(down, rel=0.03)
        assert 400 / 128 / 1.5 / 2 - 0.02 <= across <= 400 / 128 / 2 + 0.02


def recordings(folder, layout="auto"):
    return load_recordings(folder, layout, Splitter(0.0), np.random.default_rng(0), [])[0].train


def test_ambience_is_part_of_a_recording_turned_by_its_yaw(media):
    form = Format(0.5, sample_rate=RATE)
    one = next(each for each in recordings(media / "ambience") if each.path.name == "0.wav")
    found = AmbienceExcerpt(one, 0.5, np.radians(30.0), 20.0).audio(form)
    stored = plane_wave(70.0)[:, RATE // 2 : RATE]
    np.testing.assert_allclose(found, stored / np.sqrt((stored[0] ** 2).mean()), atol=1e-4)


def test_a_short_recording_is_repeated_without_a_seam(media):
    form = Format(4.0, sample_rate=RATE)
    one = next(each for each in recordings(media / "ambience") if each.path.name == "0.wav")
    found = AmbienceExcerpt(one, 0.3, 0.0, 20.0).audio(form)
    period = round(1.125 * RATE)  # a quarter is cross-faded
    np.testing.assert_allclose(found[:, period : 2 * period], found[:, :period], atol=1e-5)
    power = (found[0, : 2 * period].reshape(-1, 600) ** 2).mean(1)
    assert power.min() > 0.7
    assert power.max() < 1.4


def test_ambience_lies_below_the_sources_by_the_stated_ratio(media):
    scene, form = describe(1, 0), Format(1.0, sample_rate=RATE)
    excerpt = AmbienceExcerpt(recordings(media / "ambience")[0], 0.0, 0.0, 6.0)
    anechoic = replace(scene, room=replace(scene.room.anechoic(), level=-60.0))
    alone, both = render_audio(anechoic, form), render_audio(replace(anechoic, ambience=excerpt), form)
    noise = excerpt.audio(form)
    design = np.stack([alone[0], noise[0]], 1)
    weights = np.linalg.lstsq(design, both[0], rcond=None)[0]
    assert np.abs(design @ weights - both[0]).max() < 1e-3 * np.abs(both[0]).max()
    rms = np.sqrt((design**2).mean(0)) * weights
    assert 20 * np.log10(rms[0] / rms[1]) == pytest.approx(6.0, abs=0.05)


def clip_object(media, tmp_path, path, position=0.5, fov=50.0):
    world = Synth360(options(media, test_share=0.0))
    world.read_inputs(tmp_path)
    world.prepare(tmp_path, progress=False)
    file = tmp_path / "sources/00000.npz"
    return ClipObject(0, "cat", path, 0.0, True, file, position, np.radians(fov), (5.0, 25.0))


@pytest.mark.parametrize(("azimuth", "distance"), [(0.0, 2.0), (178.0, 3.0)])
def test_a_cut_out_is_seen_and_sounds_where_the_truth_says(media, tmp_path, azimuth, distance):
    path = Path(float(np.radians(azimuth)), 0.3, distance, 0.0, STILL, STILL, STILL)
    thing, form = clip_object(media, tmp_path, path), Format(0.5, width=512, frame_rate=4.0, sample_rate=RATE)
    scene = replace(describe(0, 0), things=(thing,))
    scene = replace(scene, room=scene.room.anechoic())
    row = truth(scene, form).to_pylist()[0]
    # The box is 36 x 24 of 64 rows, filmed by a camera of 50 degrees: half the height of the picture is tan(25).
    high = np.degrees(2 * np.arctan(24 / 64 * np.tan(np.radians(25))))
    assert (row["bottom"] - row["top"]) * 180 == pytest.approx(high, abs=1.0)
    frame = next(iter(render_frames(scene, form))).astype(int)
    centre = frame[int((row["top"] + row["bottom"]) * 128), int((row["left"] + row["right"]) * 256) % 512]
    assert np.abs(centre - KINDS["cat"]).max() < 25
    w, y, z, x = render_audio(scene, form).astype(float)
    found = np.degrees([np.arctan2((w * y).sum(), (w * x).sum()), np.arcsin((w * z).sum() / (w * w).sum())])
    assert found == pytest.approx([row["azimuth"], row["elevation"]], abs=0.1)
    assert row["visible"] == 1


def test_the_sound_of_a_cut_out_has_unit_power_and_comes_from_a_loud_part(media, tmp_path):
    path = Path(0.0, 0.0, 2.0, 0.0, STILL, STILL, STILL)
    for seconds, position in ((0.5, 0.0), (0.5, 1.0), (3.0, 0.4)):  # the clip lasts 1.5 s
        form = Format(seconds, sample_rate=RATE, frame_rate=4.0)
        signal = clip_object(media, tmp_path, path, position).signal(form)
        assert len(signal) == form.span().samples
        assert (signal[-round(seconds * RATE) :] ** 2).mean() == pytest.approx(1, rel=0.1)
    power = (signal[-3 * RATE :].reshape(-1, 800) ** 2).mean(1)
    assert power.min() > 0.5  # repeated, without a gap


def test_a_silent_part_of_a_clip_is_never_taken(tmp_path):
    from avssl.synth.user_clips.clip_object import _loud_begins

    audio = np.zeros(10 * RATE, np.float32)
    audio[6 * RATE : 8 * RATE] = 0.1
    begins = _loud_begins(audio, RATE, 800) / RATE
    assert begins.min() > 5.05
    assert begins.max() < 7.95


def refused(tmp_path, *words):
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["synth", *words, str(out), "--clips", "1", "--width", "64", "--workers", "1"])
    assert (result.exit_code, len(result.output.strip().splitlines())) == (2, 1), result.output
    assert not out.exists()
    return result.output


def test_media_of_another_kind_are_one_line_and_nothing_is_written(media, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "empty").mkdir()
    cv2.imwrite(str(tmp_path / "photos/a.png"), np.zeros((30, 40, 3), np.uint8))
    photos = refused(tmp_path, "synth360", "--backgrounds", str(tmp_path / "photos"))
    assert "a.png: expected a 360-degree panorama, twice as wide as high, got 40x30" in photos
    for name in ("backgrounds", "rirs", "ambience", "sources"):
        assert "found none" in refused(tmp_path, "synth360", f"--{name}", str(tmp_path / "empty"))
    soundfile.write(tmp_path / "photos/mono.wav", np.full(RATE, 0.1), RATE)
    assert "this sound is mono" in refused(tmp_path, "synth360", "--ambience", str(tmp_path / "photos"))
    assert "order is 1" in refused(tmp_path, "synth360", "--order", "2", "--rirs", str(media / "rirs"))
    assert "room is true" in refused(tmp_path, "stage", "--room", "false", "--rirs", str(media / "rirs"))
    assert "ambience_snr is" in refused(tmp_path, "synth360", "--ambience-snr", "200")


def test_sources_without_sound_and_a_single_file_for_two_splits_are_one_line(media, tmp_path):
    note = json.loads((media / "sources.json").read_text())
    soundfile.write(media / "silence.wav", np.zeros(24000), RATE)
    for change, message in (
        ({"audio": "silence.wav"}, "silence.wav: expected the sound of a source (cat), got silence; leave it out"),
        ({}, "expected at least 2 source files, one for each split, got 1"),
    ):
        (media / "bad.json").write_text(json.dumps(note | {"sources": [note["sources"][0] | change]}))
        assert message in refused(tmp_path, "synth360", "--sources", str(media / "bad.json"))


def test_files_that_cannot_be_read_are_counted_and_the_others_are_used(media, tmp_path):
    folder = tmp_path / "backgrounds"
    folder.mkdir()
    for name in ("0.png", "1.png"):
        os.link(media / "backgrounds" / name, folder / name)
    (folder / "torn.png").write_bytes((folder / "0.png").read_bytes()[:200])
    (folder / "text.jpg").write_text("none")
    words = ["synth", "synth360", str(tmp_path / "out"), "--backgrounds", str(folder)]
    size = ["--clips", "1", "--seconds", "0.25", "--width", "64", "--workers", "1"]
    result = CliRunner().invoke(main, [*words, *size])
    assert result.exit_code == 1
    assert "2 input files could not be read and were left out" in result.output
    assert [name in result.output for name in ("torn.png", "text.jpg")] == [True, True]
    assert (tmp_path / "out/manifest.parquet").is_file()


def test_clips_of_a_folder_that_cannot_be_read_are_left_out(media, tmp_path):
    for name in ("cat/a.mp4", "dog/b.mp4"):
        (tmp_path / name).parent.mkdir()
        frames = np.full((8, 32, 48, 3), 60 + len(name), np.uint8)
        write_video(tmp_path / "silent.mp4", frames, 8.0)
        noise = torch.randn(1, RATE, generator=torch.Generator().manual_seed(ord(name[0]))) / 10
        write_spatial_mp4(tmp_path / name, tmp_path / "silent.mp4", [noise], RATE, panoramic=False)
    (tmp_path / "silent.mp4").unlink()
    (tmp_path / "cat/torn.mp4").write_bytes((tmp_path / "cat/a.mp4").read_bytes()[:300])
    world = Synth360(Synth360Options(sources=str(tmp_path), test_share=0.5))
    world.read_inputs(tmp_path / "out")
    assert len(world.failures) == 1
    assert "torn.mp4" in world.failures[0]
    assert {thing.kind for index in range(6) for thing in world.describe(index).things} == {"cat", "dog"}
