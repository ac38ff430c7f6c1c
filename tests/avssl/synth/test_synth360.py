import json
import platform
import shutil

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from av.video.frame import PictureType

from avssl.datasets.manifest import read_manifest
from avssl.io.process_pool import CrashError
from avssl.synth.acoustics.foa_render import render_audio
from avssl.synth.scene import Format, describe
from avssl.synth.synth360 import synth360
from avssl.synth.video_render import render_frames

SMALL = {"width": 64, "progress": False}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    out = tmp_path_factory.mktemp("world")
    synth360(out, 4, 1.0, 5, workers=1, **SMALL)
    return out


@pytest.mark.heavy
def test_the_same_seed_gives_the_same_world_whatever_the_number_of_processes(world, tmp_path, same_content):
    synth360(tmp_path, 4, 1.0, 5, workers=2, **SMALL)
    media = [f"media/{clip:05d}.{suffix}" for clip in range(4) for suffix in ("wav", "mp4")]
    for name in ("truth.parquet", "manifest.parquet", "scenes.json", *media):
        same_content(tmp_path / name, world / name)


@pytest.mark.heavy
def test_a_larger_world_begins_with_the_smaller(world, tmp_path):
    synth360(tmp_path, 6, 1.0, 5, workers=1, **SMALL)
    small, large = (pq.read_table(folder / "truth.parquet").to_pylist() for folder in (world, tmp_path))
    assert large[: len(small)] == small
    for clip in range(4):
        name = f"media/{clip:05d}.wav"
        assert (tmp_path / name).read_bytes() == (world / name).read_bytes()
    assert read_manifest(tmp_path).rows[:4] == read_manifest(world).rows


def test_media_are_what_the_manifest_says(world):
    manifest = read_manifest(world)
    assert [row.split for row in manifest] == ["train", "train", "train", "test"]
    for row in manifest:
        audio = soundfile.info(world / row.audio)
        assert (audio.channels, audio.samplerate, audio.subtype) == (4, row.sample_rate, "PCM_16")
        assert audio.frames == row.seconds * row.sample_rate
        with av.open(str(world / row.video)) as video:
            stream = video.streams.video[0]
            kinds = [PictureType(frame.pict_type).name for frame in video.decode(stream)]
            assert (stream.codec_context.name, stream.width, stream.height) == ("h264", row.width, row.height)
            assert stream.average_rate == row.frame_rate
        assert len(kinds) == row.seconds * row.frame_rate
        assert "B" not in kinds
        assert kinds[::8] == ["I"] * len(kinds[::8])


def test_files_hold_the_scene(world):
    form = Format(1.0, 64)
    scene = describe(5, 2)
    stored = soundfile.read(world / "media/00002.wav")[0].T
    assert np.abs(stored - render_audio(scene, form)).max() < 1 / 32768
    with av.open(str(world / "media/00002.mp4")) as video:
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]).astype(float)
    assert np.abs(decoded - np.stack(list(render_frames(scene, form)))).mean() < 8


def test_the_truth_has_a_row_for_every_frame_and_object(world):
    rows = pq.read_table(world / "truth.parquet").to_pylist()
    scenes = [describe(5, index) for index in range(4)]
    assert len(rows) == sum(16 * len(scene.things) for scene in scenes)
    for row in rows:
        thing = scenes[int(row["key"])].things[row["object"]]
        assert (row["kind"], row["sounding"]) == (thing.kind, thing.sounding)
        azimuth, elevation, distance = thing.path.at(np.array(row["time"]))
        assert np.cos(np.radians(row["azimuth"]) - azimuth) == pytest.approx(1, abs=1e-6)
        assert (np.radians(row["elevation"]), row["distance"]) == pytest.approx((elevation, distance), abs=1e-4)
        assert 0 <= row["left"] < 1 and row["left"] < row["right"] < 2  # noqa: PT018
        assert 0 <= row["top"] < row["bottom"] <= 1
        assert 0 <= row["visible"] <= 1


def test_an_interrupted_world_is_continued(world, tmp_path):
    shutil.copytree(world, tmp_path / "world")
    out = tmp_path / "world"
    for name in ("manifest.parquet", "truth.parquet", "media/00001.mp4", "media/00003.wav"):
        (out / name).unlink()
    (out / f"media/.00001.part-{platform.node()}-999999999.mp4").write_bytes(b"half")
    kept = (out / "media/00000.mp4").stat().st_mtime_ns
    synth360(out, 4, 1.0, 5, workers=1, **SMALL)
    assert (out / "media/00000.mp4").stat().st_mtime_ns == kept
    for path in sorted(world.rglob("*.*")):
        assert (out / path.relative_to(world)).read_bytes() == path.read_bytes()
    assert not [path for path in out.rglob("*") if ".part" in path.name]


def test_the_test_share_is_spread_evenly(tmp_path):
    synth360(tmp_path, 5, 0.25, 1, workers=1, test_share=0.4, **SMALL)
    assert [row.split for row in read_manifest(tmp_path)] == ["train", "train", "test", "train", "test"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clips": 0}, "clips"),
        ({"seconds": 0.0}, "seconds"),
        ({"seconds": float("nan")}, "seconds"),
        ({"seed": -1}, "seed"),
        ({"width": 450}, "width"),
        ({"frame_rate": 0.0}, "frame_rate"),
        ({"frame_rate": 1e-9}, "frame_rate"),
        ({"sample_rate": 8000}, "sample_rate"),
        ({"workers": 0}, "workers"),
        ({"test_share": 1.5}, "test_share"),
    ],
)
def test_numbers_without_meaning_are_refused(tmp_path, change, message):
    settings = {"clips": 1, "seconds": 1.0, "seed": 0} | SMALL | change
    with pytest.raises(ValueError, match=message):
        synth360(tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_world_is_refused(world, tmp_path):
    with pytest.raises(ValueError, match=r"expected seed 5, which it was written with, got 6"):
        synth360(world, 4, 1.0, 6, workers=1, **SMALL)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="expected a folder"):
        synth360(tmp_path / "file", 4, 1.0, 6, workers=1, **SMALL)
    (tmp_path / "manifest.parquet").write_text("")
    with pytest.raises(ValueError, match="did not write"):
        synth360(tmp_path, 4, 1.0, 6, workers=1, **SMALL)


@pytest.mark.parametrize("text", ["[1]", "no json", "null"])
def test_settings_that_are_none_are_refused(tmp_path, text):
    (tmp_path / "scenes.json").write_text(text)
    with pytest.raises(ValueError, match=r"^\S+scenes\.json: expected the settings of a world"):
        synth360(tmp_path, 1, 1.0, 0, workers=1, **SMALL)
    assert (tmp_path / "scenes.json").read_text() == text


def test_a_process_that_dies_is_one_line_with_the_scene(tmp_path, monkeypatch):
    crash = CrashError("its worker process died")
    monkeypatch.setattr("avssl.synth.rendering.outcomes", lambda work, jobs, workers: iter([(jobs[1], crash)]))
    with pytest.raises(ValueError, match=r"out: scene 1 cannot be rendered: its worker process died$"):
        synth360(tmp_path / "out", 2, 1.0, 0, workers=2, **SMALL)
    assert not (tmp_path / "out" / "manifest.parquet").exists()


def test_settings_say_what_the_world_is(world):
    settings = json.loads((world / "scenes.json").read_text())
    assert settings["world"] == "synth360"
    assert (settings["seed"], settings["seconds"], settings["width"]) == (5, 1.0, 64)
