"""`avssl prepare` from the command line, on real 360-degree clips."""

import json
import os
import shutil
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.datasets.manifest import read_manifest
from avssl.media import read_all_audio, read_frames
from avssl.models import Encoders
from avssl.spatial.ambisonics import rotate, rotation

MEDIA = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[2] / ".." / "shared" / "data"))
CLIPS = MEDIA / "restricted" / "video360"
ACTION = MEDIA / "free" / "action"
# Azimuth and elevation in degrees as the media's README gives them; None where Z is silent.
DIRECTIONS = {
    "JUN314mwb90_49": (2, -1),
    "tAiVUt5vE34l_40": (87, None),
    "NdE7uYVaynQl_0": (9, None),
    "0B7ds6NmVBQl_20": (16, 4),
    "UG3nqEzgq00_40": (25, -16),
    "V_To4k9AJXc_20": (117, -9),
}


def run(*arguments):
    return CliRunner().invoke(main, ["prepare", *map(str, arguments)])


@pytest.fixture(scope="module")
def prepared(prepared_clips):
    return prepared_clips / "out", (prepared_clips / "printed.txt").read_text(encoding="utf-8")


def test_direction_of_audio_of_real_clips_agrees_with_their_description(prepared):
    rows = {row.key: row for row in read_manifest(prepared[0])}
    assert set(rows) == set(DIRECTIONS)
    for key, (azimuth, elevation) in DIRECTIONS.items():
        assert rows[key].azimuth == pytest.approx(azimuth, abs=5)
        assert rows[key].elevation == pytest.approx(elevation or 0, abs=5)
        assert rows[key].silent_channels == ("Z" if elevation is None else "")
        assert rows[key].seconds == pytest.approx(10, abs=0.1)
    reported = {row["key"]: row for row in json.loads((prepared[0] / "report.json").read_text())["rows"]}
    assert {key: row["azimuth"] for key, row in reported.items()} == {key: row.azimuth for key, row in rows.items()}


def test_proxies_show_and_audio_like_their_sources(prepared):
    for row in read_manifest(prepared[0]):
        source = CLIPS / f"{row.key}.webm"
        times = [0.5, 5.0, 9.5]
        proxy = read_frames(prepared[0] / row.video, times).float()
        original = read_frames(source, times, (224, 448)).float()
        assert (proxy - original).abs().mean() < 8
        audio, rate = read_all_audio(prepared[0] / row.audio)
        native, _native_rate = read_all_audio(source)
        assert (rate, len(audio)) == (24000, 4)
        ratio = audio.square().mean(1).sqrt() / native.square().mean(1).sqrt()
        audible = [channel for channel, letter in enumerate("WYZX") if letter not in row.silent_channels]
        assert ((ratio[audible] > 0.7) & (ratio[audible] < 1.02)).all()


def test_the_table_on_the_screen_tells_layouts_and_silence(prepared):
    assert "ambix: 6" in prepared[1]
    assert "Z: 2" in prepared[1]


def test_a_second_run_has_nothing_to_do_and_is_quick(prepared):
    before = {path.name: path.stat().st_mtime_ns for path in (prepared[0] / "media").iterdir()}
    begin = time.monotonic()
    result = run(CLIPS, prepared[0], "--layout", "files")
    assert time.monotonic() - begin < 5
    assert (result.exit_code, "6 (0 new, 6 from before)" in result.output) == (0, True)
    assert before == {path.name: path.stat().st_mtime_ns for path in (prepared[0] / "media").iterdir()}


def test_real_clips_train_encoders_that_hear_directions(prepared, tmp_path):
    settings = ["train.steps=2", "data.batch=6", "data.workers=0"]
    arguments = ["--task", "avsa", "--features", "foa-iv", "--data", str(prepared[0]), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(main, ["pretrain", *arguments, *[f"--set={setting}" for setting in settings]])
    assert result.exit_code == 0, result.output
    encoders = Encoders.from_pretrained(tmp_path / "run")
    audio = read_all_audio(prepared[0] / "media" / "tAiVUt5vE34l_40.wav")[0][:, :24000]
    ahead, behind = (encoders.audio(rotate(audio, rotation(torch.tensor(yaw)))) for yaw in (-1.57, 1.57))
    assert ahead.shape == (encoders.audio_width,)
    assert (ahead - behind).norm() > 1e-3 * ahead.norm()


def test_ordinary_videos_fail_with_reasons_and_exit_code_1(tmp_path):
    names = ("lhotse_big_buck_bunny_small.mp4", "nasa_13013.mp4", "intel_bottle-detection.mp4")
    if not all((ACTION / name).is_file() for name in names):
        pytest.skip(f"no videos at {ACTION}: set AVSSL_TEST_MEDIA")
    (tmp_path / "in").mkdir()
    for name in names:
        shutil.copy(ACTION / name, tmp_path / "in")
    result = run(tmp_path / "in", tmp_path / "out", "--layout", "files", "--workers", 1)
    assert result.exit_code == 1
    reasons = {row["key"]: row["reason"] for row in pq.read_table(tmp_path / "out" / "failed.parquet").to_pylist()}
    assert "320x240" in reasons["lhotse_big_buck_bunny_small"]
    assert "6-channel surround, not ambisonics" in reasons["lhotse_big_buck_bunny_small"]
    assert "this sound is stereo" in reasons["nasa_13013"]
    assert "no sound stream" in reasons["intel_bottle-detection"]
    assert not (tmp_path / "out" / "manifest.parquet").exists()


def test_what_a_user_got_wrong_is_one_line_and_exit_code_2(tmp_path):
    result = run(tmp_path / "nowhere", tmp_path / "out", "--layout", "files")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "expected a folder of recordings, there is none" in result.output
    assert not (tmp_path / "out").exists()


def test_youtube_download_is_prepared_unchanged(tmp_path):
    if not CLIPS.is_dir():
        pytest.skip(f"no real clips at {CLIPS}: set AVSSL_TEST_MEDIA")
    base = tmp_path / "data" / "yt360"
    for kind, suffix in (("video", ".mp4"), ("audio", ".m4a")):
        (base / kind).mkdir(parents=True)
        # The container does not matter to the reader; the names do.
        shutil.copy(CLIPS / "0B7ds6NmVBQl_20.webm", base / kind / f"0B7ds6NmVBQ-20{suffix}")
    (base / "video" / "-B7ds6-mVBQ-20.mp4").write_text("cut short")
    (base / "audio" / "-B7ds6-mVBQ-20.m4a").touch()
    (tmp_path / "train.txt").write_text("0B7ds6NmVBQ\nnot-here-01\n")
    (tmp_path / "test.txt").write_text("-B7ds6-mVBQ")
    result = run(tmp_path, tmp_path / "out", "--layout", "yt360", "--workers", 1)
    assert result.exit_code == 1, result.output
    (row,) = read_manifest(tmp_path / "out", split="train")
    assert (row.key, row.height, row.width, row.layout) == ("0B7ds6NmVBQ-20", 224, 448, "ambix")
    assert row.azimuth == pytest.approx(16, abs=5)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["missing"]["ids"] == {"count": 1, "names": ["not-here-01"]}
    (failed,) = pq.read_table(tmp_path / "out" / "failed.parquet").to_pylist()
    assert (failed["key"], "cannot be read" in failed["reason"]) == ("-B7ds6-mVBQ-20", True)
