"""A file whose decoder kills its process, in every command that reads many: it alone is lost, and named."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from avssl.config import FeatureConfig, ModelConfig
from avssl.datasets.manifest import read_manifest, write_manifest
from avssl.media import write_audio, write_video
from avssl.models.encoders import Encoders

DYING = "its worker process died, twice (Aborted): a crash, or want of memory"
POISON = """
import os, time
if os.environ.get("POISONED"):
    import av
    av_open = av.open
    def opened(file, *rest, **options):
        if "poison" in str(file):
            time.sleep(1000) if os.environ["POISONED"] == "hang" else os.abort()
        return av_open(file, *rest, **options)
    av.open = opened
"""


@pytest.fixture
def run(tmp_path):
    """Run a command whose FFmpeg aborts the process over `poison.mp4`; returns exit code and standard error."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(POISON)
    paths = os.pathsep.join([str(tmp_path / "site"), *sys.path])
    own = {"POISONED": "crash", "PYTHONPATH": paths, "AVSSL_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}

    def command(*words, **more):
        call = [sys.executable, "-c", "from avssl.cli import main; main()", *map(str, words)]
        done = subprocess.run(call, env=os.environ | own | more, capture_output=True, text=True, timeout=200)
        return done.returncode, done.stderr

    return command


@pytest.fixture
def films(tmp_path):
    """Three films with their sound, one of them poisoned."""
    folder = tmp_path / "films"
    folder.mkdir()
    frames = [np.random.default_rng(0).integers(0, 255, (32, 64, 3), np.uint8) for _ in range(12)]
    for name in ("a", "poison", "z"):
        write_video(folder / f"{name}.mp4", frames, 8.0)
        write_audio(folder / f"{name}.wav", torch.rand(4, 36000) - 0.5, 24000)
    return folder


def test_prepare(run, films, tmp_path):
    code, _ = run("prepare", films, tmp_path / "out", "--layout", "files", "--workers", 2)
    assert code == 1
    assert [row.key for row in read_manifest(tmp_path / "out")] == ["a", "z"]
    (failure,) = pq.read_table(tmp_path / "out" / "failed.parquet").to_pylist()
    assert (Path(failure["source"]).name, failure["reason"]) == ("poison.mp4", DYING)


@pytest.mark.slow
def test_prepare_of_a_film_that_hangs(run, films, tmp_path):
    hang = {"POISONED": "hang", "AVSSL_PATIENCE": "5"}
    code, _ = run("prepare", films, tmp_path / "out", "--layout", "files", "--workers", 2, **hang)
    assert code == 1
    assert [row.key for row in read_manifest(tmp_path / "out")] == ["a", "z"]
    (failure,) = pq.read_table(tmp_path / "out" / "failed.parquet").to_pylist()
    assert Path(failure["source"]).name == "poison.mp4"
    assert failure["reason"].startswith("its worker process made no progress for 5 s and was ended")


@pytest.mark.slow
def test_embed(run, films, tmp_path):
    torch.manual_seed(0)
    features = FeatureConfig("foa-iv", sample_rate=8000, n_fft=256, hop=80, mels=32)
    Encoders(ModelConfig(), features).save(tmp_path / "encoders")
    small = ("--seconds", 0.5, "--frames", 2, "--frame-rate", 8, "--resize", 32, "--size", 32)
    code, said = run("embed", films, tmp_path / "e.parquet", "--encoders", tmp_path / "encoders", *small)
    assert code == 1
    assert [line for line in said.splitlines() if "died" in line] == [
        f"Error: poison.mp4: {films / 'poison.mp4'}: {DYING}"
    ]
    files = set(pq.read_table(tmp_path / "e.parquet")["file"].to_pylist())
    assert files == {"a.mp4", "a.wav", "poison.wav", "z.mp4", "z.wav"}


def test_pretrain_ends_in_one_line_that_names_the_file(run, short_scenes, tmp_path):
    rows = [replace(row, audio=str(short_scenes.parent / row.audio)) for row in read_manifest(short_scenes)]
    for row in rows:
        target = tmp_path / "media" / ("poison.mp4" if row.key == rows[1].key else Path(row.video).name)
        target.parent.mkdir(exist_ok=True)
        os.link(short_scenes.parent / row.video, target)
        os.link(row.audio, target.with_suffix(".wav"))
    found = [replace(row, video=f"media/{Path(row.video).name}", audio=f"media/{Path(row.audio).name}") for row in rows]
    found[1] = replace(found[1], video="media/poison.mp4", audio="media/poison.wav")
    write_manifest(tmp_path / "manifest.parquet", found)
    small = ("--data.batch", 4, "--data.seconds", 0.5, "--options.crops", 2, "--options.size", 32)
    code, said = run("pretrain", "--data", tmp_path, "--out", tmp_path / "run", "--train.steps", 2, *small)
    assert (code, said.splitlines()[-1]) == (2, f"Error: {tmp_path / 'media' / 'poison.mp4'}: {DYING}")
    assert "Traceback" not in said
