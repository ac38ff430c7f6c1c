"""Objects of real 360-degree clips, and of a made-up world, from the command line."""

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.data.clip_options import CropOptions
from avssl.data.crops import draw_crops
from avssl.datasets.manifest import read_manifest, write_manifest
from avssl.detection.object_index import find_objects, objects_path, read_objects, read_settings
from avssl.media import read_all_audio, write_audio, write_video
from avssl.spatial.ambisonics import angle_between, beamform, rotate
from avssl.synth.synth360 import synth360

MEDIA = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[2] / ".." / "shared" / "data")) / "restricted"
MODEL = MEDIA / "yolo11n_int8_openvino_model"
TRACTOR, PEOPLE = "tAiVUt5vE34l_40", "NdE7uYVaynQl_0"
VEHICLES = {"truck", "car", "bus", "train", "motorcycle", "bicycle"}
"""What a detector that knows no tractors takes one for."""


def run(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def looked(prepared_clips, tmp_path_factory):
    """Two of the real clips, prepared and looked at every other second."""
    pytest.importorskip("openvino")
    if not MODEL.is_dir():
        pytest.skip(f"no detector at {MODEL}: set AVSSL_TEST_MEDIA")
    out = shutil.copytree(prepared_clips / "out", tmp_path_factory.mktemp("looked") / "out")
    write_manifest(out, [row for row in read_manifest(out) if row.key in (TRACTOR, PEOPLE)])
    result = run("detect", out, "--model", MODEL, "--rate", 0.5)
    assert result.exit_code == 0, result.output
    return out


def rows(folder, model, key):
    return [row for row in pq.read_table(find_objects(folder, str(model))).to_pylist() if row["key"] == key]


def test_the_tractor_is_found_as_it_drives_to_the_left(looked):
    vehicles = [row for row in rows(looked, MODEL, TRACTOR) if row["label"] in VEHICLES]
    ground = sorted((row for row in vehicles if -20 < row["elevation"] < 5), key=lambda row: row["score"])
    path = {row["time"]: row["azimuth"] for row in ground}  # the surest of each time
    assert len(path) >= 3
    times, azimuths = (np.array(each) for each in zip(*sorted(path.items()), strict=True))
    assert ((azimuths > 30) & (azimuths < 140)).all()
    assert (np.diff(azimuths) > 0).all()
    # Its sound comes from azimuth 87 on average; it passes there half-way through.
    assert np.interp(5.5, times, azimuths) == pytest.approx(87, abs=10)


def test_the_people_around_are_found_all_around(looked):
    people = [row for row in rows(looked, MODEL, PEOPLE) if row["label"] == "person"]
    for time in {row["time"] for row in people}:
        azimuths = np.array([row["azimuth"] for row in people if row["time"] == time])
        assert len(azimuths) >= 15
        assert (np.histogram(azimuths, 6, (-180, 180))[0] > 0).sum() >= 5
    # The player in front, who fills much of the view, is one of them.
    assert any(abs(row["azimuth"]) < 20 and row["height"] > 40 for row in people)


def test_beam_and_crop_towards_the_tractor_hear_more_of_it_than_the_beam_away(looked):
    objects = read_objects(looked, str(MODEL))
    (row,) = (row for row in read_manifest(looked) if row.key == TRACTOR)
    audio, rate = read_all_audio(looked / row.audio)
    vehicles = [each for each in rows(looked, MODEL, TRACTOR) if each["label"] in VEHICLES and each["time"] < 10]
    gains, rng = [], np.random.default_rng(0)
    for each in vehicles:
        directions, scores = objects.at(TRACTOR, each["time"])
        here = np.radians([each["azimuth"], each["elevation"]])
        assert min(np.abs(directions - here).max(1)) < 1e-5
        assert (np.diff(scores) <= 0).all()
        middle = round(each["time"] * rate)
        window = audio[:, max(0, middle - rate) : middle + rate]
        crop = draw_crops(
            CropOptions(crops=1, crop_guide="objects"), rng, objects=torch.tensor([[*here, each["score"]]]).float()
        )
        assert crop.directions()[0].numpy() == pytest.approx(here, abs=1e-4)
        towards, away = (beamform(window, float(here[0]) + turn, float(here[1])) for turn in (0.0, np.pi))
        ahead = beamform(rotate(window, crop.to_front()[0]), 0.0, 0.0)
        gains.append([10 * float(torch.log10(one.square().mean() / away.square().mean())) for one in (towards, ahead)])
    assert len(gains) >= 3
    assert (np.median(gains, 0) >= 3).all()
    assert np.min(gains) > 0


def test_preview_and_table_lie_beside_the_manifest_and_a_second_pass_is_empty(looked):
    path = find_objects(looked, str(MODEL))
    assert path.with_suffix(".jpg").stat().st_size > 50_000
    before = path.stat().st_mtime_ns
    result = run("detect", looked, "--model", MODEL, "--rate", 0.5)
    assert (result.exit_code, path.stat().st_mtime_ns) == (0, before)
    assert result.output.strip().splitlines()[-1] == str(path)


def test_prepare_looks_for_objects_in_what_it_prepared(tmp_path):
    pytest.importorskip("openvino")
    if not MODEL.is_dir():
        pytest.skip(f"no detector at {MODEL}: set AVSSL_TEST_MEDIA")
    (tmp_path / "in").mkdir()
    image = np.random.default_rng(0).integers(0, 256, (96, 192, 3), dtype=np.uint8)
    write_video(tmp_path / "in" / "clip.mp4", [image] * 5, 10.0)
    write_audio(tmp_path / "in" / "clip.wav", 0.1 * torch.randn(4, 12000), 24000)
    result = run("prepare", tmp_path / "in", tmp_path / "out", "--layout", "files", "--workers", 1, "--detect", MODEL)
    assert result.exit_code == 0, result.output
    path = find_objects(tmp_path / "out", str(MODEL))
    assert str(path) in result.output
    about, looked = read_settings(path)
    assert about.model.startswith("yolo11n_int8_openvino_model sha256:")
    assert looked["clip"].times().tolist() == [0.25]


@pytest.mark.parametrize("command", ["detect", "prepare"])
def test_a_detector_that_is_not_there_is_one_line_and_nothing_is_begun(tmp_path, command):
    (tmp_path / "in").mkdir()
    before = sorted(tmp_path.rglob("*"))
    arguments = {
        "detect": ["detect", tmp_path / "in", "--model", "yolo11n.pt"],
        "prepare": ["prepare", tmp_path / "in", tmp_path / "out", "--layout", "files", "--detect", "yolo11n.pt"],
    }[command]
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_truth_of_a_world_is_its_objects(tmp_path):
    synth360(tmp_path, 3, 1.0, seed=5, width=128, workers=1, progress=False)
    assert run("detect", tmp_path, "--model", "truth").exit_code == 0
    truth = [row for row in pq.read_table(tmp_path / "truth.parquet").to_pylist() if row["visible"] >= 0.25]
    objects = read_objects(tmp_path, "truth")
    assert len(objects) == len(truth)
    for key in {row["key"] for row in truth}:
        for frame in (0, 7, 15):
            there = [row for row in truth if row["key"] == key and row["frame"] == frame]
            directions, scores = objects.at(key, frame / 16 + 0.02)
            assert scores == pytest.approx(sorted((row["visible"] for row in there), reverse=True))
            wanted = {(round(row["azimuth"], 2), round(row["elevation"], 2)) for row in there}
            assert {tuple(np.round(np.degrees(each), 2).tolist()) for each in directions.astype(float)} == wanted
    for row in pq.read_table(objects_path(tmp_path, "truth")).to_pylist():
        (same,) = (
            each for each in truth if (each["key"], each["time"]) == (row["key"], row["time"])
            and (each["azimuth"], each["kind"]) == (row["azimuth"], row["label"])
        )  # fmt: skip
        away = float(angle_between(*np.radians([row["azimuth"], row["elevation"], same["azimuth"], same["elevation"]])))
        assert away < 1e-3
        # A silhouette fills its disc at least half and never leaves its corners.
        assert 0.4 < row["height"] / (2 * same["angular_radius"]) < 1.5
