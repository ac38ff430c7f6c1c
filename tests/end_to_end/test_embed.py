"""Embeddings of one's own media, from the command line."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.config import FeatureConfig, ModelConfig
from avssl.datasets.manifest import Row, write_manifest
from avssl.embedding import media_discovery, table_writer
from avssl.media import write_audio, write_spatial_mp4, write_video
from avssl.models.encoders import AudioEncoder, Encoders, VideoEncoder
from avssl.models.geometry import InputGeometry

SMALL = ("--seconds", 0.4, "--hop", 0.2, "--frames", 2, "--frame-rate", 8, "--resize", 32, "--size", 32)
EXACT = (*SMALL, "--workers", 0, "--precision", "32-true")


def run(*arguments):
    return CliRunner().invoke(main, list(map(str, ("embed", *arguments))))


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    torch.manual_seed(0)
    Encoders(ModelConfig(), FeatureConfig("foa-iv", sample_rate=8000, n_fft=256, hop=80, mels=32)).save(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A film with a field in it, one that is silent, a field of the second order, and a folder within."""
    root = tmp_path_factory.mktemp("media")
    (root / "deep & [odd] #1").mkdir()
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (32, 64, 3), np.uint8) for _ in range(12)]
    write_video(root / "silent.mp4", frames, 8.0)
    field = [torch.rand(4, 48000) - 0.5]
    write_spatial_mp4(root / "both.mp4", root / "silent.mp4", field, 48000, panoramic=True)
    write_audio(root / "deep & [odd] #1" / "a.wav", torch.rand(9, 8000) - 0.5, 8000)
    (root / "notes.txt").write_text("no media")
    return root


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path_factory.mktemp("cache")))


def rows(path):
    return pq.read_table(path).to_pylist()


def test_windows_of_a_folder_begin_together_and_their_embeddings_are_the_encoders(encoders, folder, tmp_path):
    out = tmp_path / "new" / "out.parquet"
    result = run(folder, out, "--encoders", encoders, "--channels", 4, *EXACT)
    assert result.exit_code == 0, result.output
    assert "sound at 48000 Hz is resampled to the encoders' 8000 Hz" in result.stderr
    found = rows(out)
    starts = {}
    for row in found:
        starts.setdefault((row["file"], row["tower"]), []).append(row["start"])
    assert {name: len(each) for name, each in starts.items()} == {
        ("both.mp4", "audio"): 4,
        ("deep & [odd] #1/a.wav", "audio"): 4,
        ("both.mp4", "video"): 6,
        ("silent.mp4", "video"): 6,
    }
    assert starts["both.mp4", "audio"] == starts["both.mp4", "video"][:4] == pytest.approx([0.0, 0.2, 0.4, 0.6])
    assert {row["seconds"] for row in found} == {0.4}
    audio, _ = soundfile.read(folder / "deep & [odd] #1" / "a.wav", dtype="float32", always_2d=True)
    [row] = [row for row in found if row["file"].endswith("a.wav") and row["start"] == pytest.approx(0.6)]
    expected = Encoders.from_pretrained(encoders).audio(torch.from_numpy(audio[4800:8000, :4].T)[None])
    assert np.allclose(row["embedding"], expected.detach()[0].numpy(), atol=1e-4)
    assert [each.name for each in out.parent.iterdir()] == ["out.parquet"]


def test_both_formats_hold_the_same(encoders, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(media_discovery, "WINDOWS_PER_SOURCE", 3)  # long files come in pieces
    for name in ("out.parquet", "out.npz"):
        result = run(folder, tmp_path / name, "--encoders", encoders, "--channels", 4, *EXACT)
        assert result.exit_code == 0, result.output
    table = rows(tmp_path / "out.parquet")
    arrays = np.load(tmp_path / "out.npz", allow_pickle=False)
    assert float(arrays["seconds"]) == 0.4
    for tower in ("audio", "video"):
        wanted = [row for row in table if row["tower"] == tower]
        assert np.array_equal(arrays[tower], np.array([row["embedding"] for row in wanted], np.float32))
        assert arrays[f"{tower}_start"].tolist() == [row["start"] for row in wanted]
        assert arrays["files"][arrays[f"{tower}_file"]].tolist() == [row["file"] for row in wanted]


def test_files_that_cannot_be_read_are_listed_and_the_others_done(encoders, folder, tmp_path):
    (root := tmp_path / "media").mkdir()
    (root / "good.mp4").symlink_to(folder / "both.mp4")
    (root / "broken.mp4").write_bytes(b"no film")
    (root / "empty.wav").touch()
    write_audio(root / "pair.wav", torch.rand(2, 8000) - 0.5, 8000)
    result = run(root, tmp_path / "out.npz", "--encoders", encoders, *EXACT)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert {line.split(": ")[1] for line in lines[-3:]} == {"broken.mp4", "empty.wav", "pair.wav"}
    assert any("features foa-iv take 4 channels" in line and "pair.wav has 2" in line for line in lines)
    assert np.load(tmp_path / "out.npz")["files"].tolist() == ["good.mp4"]
    upmixed = run(root / "pair.wav", tmp_path / "pair.npz", "--encoders", encoders, "--upmix", *EXACT)
    assert upmixed.exit_code == 0, upmixed.output
    assert np.load(tmp_path / "pair.npz")["audio"].shape[0] == 4


def test_a_run_that_is_stopped_writes_nothing_and_goes_on_where_it_was(encoders, folder, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(table_writer.pq.ParquetWriter, "write_table", stop)
        stopped = run(folder, tmp_path / "out.parquet", "--encoders", encoders, "--channels", 4, *EXACT)
    assert stopped.exit_code == 130
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(AudioEncoder, "forward", stop)
    monkeypatch.setattr(VideoEncoder, "forward", stop)
    again = run(folder, tmp_path / "out.parquet", "--encoders", encoders, "--channels", 4, *EXACT)
    assert again.exit_code == 0, again.output
    assert len(rows(tmp_path / "out.parquet")) == 20


def test_nothing_is_written_where_nothing_could_be_read(encoders, tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "broken.mp4").write_bytes(b"no film")
    result = run(tmp_path / "media", tmp_path / "out.parquet", "--encoders", encoders, *EXACT)
    assert result.exit_code == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["media"]


def test_rows_of_a_manifest_are_stretches_of_their_files(encoders, folder, tmp_path):
    row = Row("first", "", "both.mp4", "both.mp4", 0.2, 0.6, 8.0, 64, 32, 48000, "ambix", "", 0.0, 0.0, 0.0, "")
    second = dataclasses.replace(row, key="second", start=0.4, seconds=0.4)
    (tmp_path / "both.mp4").write_bytes((folder / "both.mp4").read_bytes())
    write_manifest(tmp_path / "manifest.parquet", [row, second])
    out = tmp_path / "out.parquet"
    result = run(tmp_path / "manifest.parquet", out, "--encoders", encoders, "--tower", "audio", *EXACT)
    assert result.exit_code == 0, result.output
    found = {(each["file"], round(each["start"], 3)): each["embedding"] for each in rows(out)}
    assert set(found) == {("first", 0.0), ("first", 0.2), ("second", 0.0)}
    # Two rows of a batch, which may be summed in another order.
    assert found["first", 0.2] == pytest.approx(found["second", 0.0], abs=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hop", 0], "hop > 0"),
        (["--view", "0,90"], "AZIMUTH,ELEVATION,FOV"),
        (["--size", 64], "expected a size of at most resize=32"),
        (["--seconds", 0], "seconds > 0"),
    ],
)
def test_options_without_meaning_are_refused_in_one_line(encoders, folder, tmp_path, options, said):
    result = run(folder, tmp_path / "out.npz", "--encoders", encoders, *EXACT, *options)
    assert result.exit_code == 2
    assert said in result.output
    assert not list(tmp_path.iterdir())


def test_places_and_formats_that_are_not_there_are_refused(encoders, folder, tmp_path):
    for source, out, said in (
        (folder, "out.csv", ".parquet or an .npz"),
        (tmp_path / "nowhere", "out.npz", "there is nothing"),
        (tmp_path, "out.npz", "found none"),
        (folder / "silent.mp4", "out.npz", "has nothing for the tower audio"),
    ):
        result = run(source, tmp_path / out, "--encoders", encoders, "--tower", "audio", *EXACT)
        assert result.exit_code == 2
        assert said in result.output


def test_windows_default_to_the_geometry_of_the_encoders(folder, tmp_path):
    torch.manual_seed(0)
    features = FeatureConfig("foa-iv", sample_rate=8000, n_fft=256, hop=80, mels=32)
    own = InputGeometry(0.4, 2, 8.0, 32, 60.0, 60.0)
    Encoders(ModelConfig(), features, own).save(tmp_path / "own")
    Encoders(ModelConfig(), features).save(tmp_path / "old")
    exact = ("--workers", 0, "--precision", "32-true", "--channels", 4)
    written = ("--seconds", 0.4, "--hop", 0.4, "--frames", 2, "--frame-rate", 8, "--size", 32, "--resize", 37)
    views = (("--view", "20,0"), ("--view", "20,0,60"))
    for name, view in zip(("default", "set"), views, strict=True):
        given = written if name == "set" else ()
        result = run(folder, tmp_path / f"{name}.npz", "--encoders", tmp_path / "own", *exact, *view, *given)
        assert result.exit_code == 0, result.output
    default, set_ = (np.load(tmp_path / f"{name}.npz") for name in ("default", "set"))
    for tower in ("audio", "video"):
        assert np.array_equal(default[f"{tower}_start"], set_[f"{tower}_start"])
        assert np.allclose(default[tower], set_[tower], atol=1e-4)
    old = run(folder, tmp_path / "old.npz", "--encoders", tmp_path / "old", *exact)
    assert old.exit_code == 2
    assert "set seconds=..., or pretrain them again" in old.output
    assert not (tmp_path / "old.npz").exists()


def test_invented_lengths_cost_their_file_a_line_and_others_are_embedded(encoders, tmp_path, matroska):
    root = tmp_path / "media"
    root.mkdir()
    frames = [np.full((48, 96, 3), 10 + 5 * number, np.uint8) for number in range(21)]
    steady = list(range(0, 2000, 100))
    matroska(root / "good.mkv", frames[:20], steady)
    matroska(root / "long.mkv", frames[:20], steady, duration=1e18, audio=range(0, 1000, 100))
    matroska(root / "jump.mkv", frames, [*steady, 36_000_000])
    matroska(root / "still.mkv", frames[:20], [0] * 20)
    result = run(root, tmp_path / "out.parquet", "--encoders", encoders, "--upmix", *EXACT)
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert [line.split(": ")[1] for line in errors] == ["jump.mkv", "still.mkv"]
    assert "got 35998 s at 1.9 s" in errors[0]
    found = {(row["file"], row["tower"]) for row in rows(tmp_path / "out.parquet")}
    assert found == {("good.mkv", "video"), ("long.mkv", "video"), ("long.mkv", "audio")}
    starts = [row["start"] for row in rows(tmp_path / "out.parquet") if row["file"] == "long.mkv"]
    assert (len(starts), max(starts)) == (4 + 8, pytest.approx(1.4))


def test_a_view_of_frames_that_are_no_whole_sphere_is_refused(encoders, tmp_path):
    root = tmp_path / "media"
    root.mkdir()
    for width in (64, 128):
        write_video(root / f"{width}.mp4", [np.zeros((32, width, 3), np.uint8)] * 8, 8.0)
    result = run(root, tmp_path / "out.parquet", "--encoders", encoders, "--view", "0,0,90", "--tower", "video", *EXACT)
    assert result.exit_code == 1
    assert "128.mp4: expected equirectangular frames (2:1), these are 128x32, perhaps side-by-side" in result.stderr
    assert {row["file"] for row in rows(tmp_path / "out.parquet")} == {"64.mp4"}
