import json
import os
import platform
import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner

from avssl.cli import main
from avssl.datasets.manifest import read_manifest
from avssl.io import progress
from avssl.spatial.viewport import project
from avssl.synth.stage.stage_dataset import Stage, StageOptions, stage

SMALL = {"width": 96, "height": 64, "progress": False}
OPTIONS = StageOptions(seed=5, seconds=1.0, width=96, height=64)
WORLD = Stage(OPTIONS)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    out = tmp_path_factory.mktemp("world")
    stage(out, 4, 1.0, 5, workers=1, **SMALL)
    return out


@pytest.mark.heavy
def test_the_same_seed_gives_the_same_world_whatever_the_number_of_processes(world, tmp_path, same_content):
    stage(tmp_path, 5, 1.0, 5, workers=2, **SMALL)
    media = [f"media/{clip:05d}.{suffix}" for clip in range(4) for suffix in ("wav", "mp4")]
    for name in ("truth.parquet", "scenes.json", *media):
        same_content(tmp_path / name, world / name)


@pytest.mark.heavy
def test_media_are_what_the_manifest_says(world):
    manifest = read_manifest(world)
    assert [row.split for row in manifest] == ["train", "train", "train", "test"]
    for row in manifest:
        assert (row.layout, row.width, row.height) == ("binaural", 96, 64)
        assert np.isnan([row.azimuth, row.elevation, row.diffuseness]).all()
        audio = soundfile.info(world / row.audio)
        assert (audio.channels, audio.samplerate) == (2, row.sample_rate)
        assert audio.frames == row.seconds * row.sample_rate
        with av.open(str(world / row.video)) as video:
            stream = video.streams.video[0]
            assert (stream.width, stream.height, stream.average_rate) == (row.width, row.height, row.frame_rate)
            assert len(list(video.decode(stream))) == row.seconds * row.frame_rate


def test_files_hold_the_scene(world):
    for index in range(4):
        scene = WORLD.describe(index)
        stored = soundfile.read(world / f"media/{index:05d}.wav")[0].T
        assert np.abs(stored - WORLD.audio(scene)).max() < 1 / 32768
        with av.open(str(world / f"media/{index:05d}.mp4")) as video:
            decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]).astype(float)
        assert np.abs(decoded - np.stack(list(WORLD.frames(scene)))).mean() < 8


@pytest.mark.parametrize("index", range(3))
def test_a_mirrored_scene_is_the_mirror_image_of_the_scene(index):
    plain, other = (replace(WORLD.describe(index), mirrored=mirrored) for mirrored in (False, True))
    assert np.array_equal(WORLD.audio(plain)[::-1], WORLD.audio(other))
    frames = zip(WORLD.frames(plain), WORLD.frames(other), strict=True)
    assert all(np.array_equal(one[:, ::-1], two) for one, two in frames)
    here, there = (WORLD.truth(scene).to_pydict() for scene in (plain, other))
    for name, values in here.items():
        if name == "azimuth":
            assert there[name] == [-value for value in values]
        elif name not in ("x", "x_min", "x_max"):
            assert there[name] == values
    for name, other_name in (("x", "x"), ("x_min", "x_max"), ("x_max", "x_min")):
        assert there[name] == pytest.approx(1 - np.array(here[other_name]))


def test_the_truth_says_where_in_the_image_objects_are(world):
    rows = pq.read_table(world / "truth.parquet").to_pylist()
    scenes = [WORLD.describe(index) for index in range(4)]
    assert len(rows) == sum(16 * len(scene.things) for scene in scenes)
    for row in rows:
        thing = scenes[int(row["key"])].things[row["object"]]
        assert (row["kind"], row["sounding"]) == (thing.kind, thing.sounding)
        angles = np.radians([row["azimuth"], row["elevation"]])
        x, y = project(*map(float, angles), (0.0, 0.0), np.pi / 2, (64, 96)).tolist()
        assert (row["x"] * 96, row["y"] * 64) == pytest.approx((x, y), abs=1e-3)
        assert 0 <= row["x_min"] < row["x"] < row["x_max"] <= 1
        assert 0 <= row["y_min"] < row["y"] < row["y_max"] <= 1
        assert 0 <= row["visible"] <= 1


@pytest.mark.parametrize("index", range(8))
def test_the_box_of_the_truth_holds_exactly_the_drawn_object(grey, index):
    large = Stage(replace(OPTIONS, seconds=0.25, width=448, height=256))
    scene = large.describe(index)
    scene = replace(scene, things=scene.things[:1])
    drawn = np.abs(next(large.frames(scene)).astype(int) - 128).max(-1) > 40
    columns, rows = np.flatnonzero(drawn.any(0)), np.flatnonzero(drawn.any(1))
    row = large.truth(scene).slice(0, 1).to_pylist()[0]
    assert (columns[0], columns[-1] + 1) == pytest.approx((row["x_min"] * 448, row["x_max"] * 448), abs=2.5)
    assert (rows[0], rows[-1] + 1) == pytest.approx((row["y_min"] * 256, row["y_max"] * 256), abs=2.5)


def test_objects_stay_in_view_and_on_their_side_however_long_the_scene():
    times = np.arange(0, 120, 0.05)
    for index in range(200):
        scene = WORLD.describe(index)
        azimuth = np.degrees([thing.path.at(times)[0] for thing in scene.things])
        assert (np.abs(azimuth) > 11.99).all()
        assert (np.abs(azimuth) < 38.01).all()
        assert (np.ptp(np.sign(azimuth), axis=1) == 0).all()
        assert (azimuth[[thing.sounding for thing in scene.things]] > 0).all()
        assert len({thing.kind for thing in scene.things}) == len(scene.things)


def test_an_interrupted_world_is_continued(world, tmp_path):
    out = tmp_path / "world"
    shutil.copytree(world, out)
    for name in ("manifest.parquet", "truth.parquet", "media/00001.mp4", "media/00003.wav"):
        (out / name).unlink()
    (out / f"media/.00002.part-{platform.node()}-999999999.mp4").write_bytes(b"half")
    stage(out, 4, 1.0, 5, workers=1, **SMALL)
    assert {path.name for path in out.rglob("*")} == {path.name for path in world.rglob("*")}
    for path in sorted(world.rglob("*.*")):
        assert (out / path.relative_to(world)).read_bytes() == path.read_bytes()


def test_the_room_and_its_noise_can_be_left_out():
    dead = Stage(replace(OPTIONS, room=False))
    for index in range(3):
        scene = WORLD.describe(index)
        dry, wet = (each.audio(each.describe(index)) for each in (dead, WORLD))
        gain = (dry * wet).sum() / (dry**2).sum()
        rest = wet - gain * dry
        assert 0 < 10 * np.log10((gain * dry).var() / rest.var()) < 25
        assert scene.room.noise < np.inf
        assert dead.describe(index).room.noise == np.inf


def test_another_head_is_another_world_and_heard(world, tmp_path):
    head = _measured_head()
    stage(tmp_path, 1, 1.0, 5, workers=1, hrirs=head, **SMALL)
    other, sphere = (soundfile.read(folder / "media/00000.wav")[0] for folder in (tmp_path, world))
    assert np.corrcoef(other.T, sphere.T)[0, 2] < 0.99
    assert (tmp_path / "media/00000.mp4").read_bytes() == (world / "media/00000.mp4").read_bytes()
    with pytest.raises(ValueError, match="expected head 'sphere', which it was written with, got "):
        stage(world, 4, 1.0, 5, workers=1, hrirs=head, **SMALL)


def _measured_head():
    folder = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[4] / "shared" / "data")) / "free/hrtf/sofa"
    found = sorted(folder.glob("*.sofa"))
    if not found:
        pytest.skip(f"no SOFA file in {folder}; set AVSSL_TEST_MEDIA to the folder of test media")
    return found[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clips": 0}, "clips"),
        ({"seconds": float("nan")}, "seconds"),
        ({"seed": -1}, "seed"),
        ({"width": 95}, "width"),
        ({"height": 0}, "height"),
        ({"fov": 30.0}, "fov is from 40 to 120 degrees, not 30"),
        ({"fov": float("nan")}, "fov"),
        ({"sample_rate": 8000}, "sample_rate"),
        ({"test_share": -0.1}, "test_share"),
    ],
)
def test_numbers_without_meaning_are_refused(tmp_path, change, message):
    settings = {"clips": 1, "seconds": 1.0, "seed": 0} | SMALL | change
    with pytest.raises(ValueError, match=f"^stage: .*{message}"):
        stage(tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_responses_that_are_none_are_one_line_and_nothing_is_written(tmp_path):
    (tmp_path / "bad.sofa").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    for name in ("bad.sofa", "gone.sofa"):
        with pytest.raises((ValueError, OSError), match=name) as caught:
            stage(tmp_path / "out", 1, 1.0, 0, workers=1, hrirs=tmp_path / name, **SMALL)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()


@pytest.mark.heavy
def test_the_command_prints_the_manifest_and_shows_its_progress_on_stderr(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_LINE", 0)
    options = {"clips": 1, "seconds": 0.25, "width": 64, "height": 32, "fov": 60, "workers": 1}
    flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    done = CliRunner().invoke(main, ["synth", "stage", str(tmp_path / "out"), *flags, "--room", "false"])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'out' / 'manifest.parquet'}\n"
    assert "rendering" in done.stderr
    settings = json.loads((tmp_path / "out" / "scenes.json").read_text())
    assert (settings["fov"], settings["room"], settings["head"]) == (60.0, False, "sphere")
