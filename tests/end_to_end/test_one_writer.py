"""Two commands in one folder: one writes, the other is refused in one line, and nothing is mixed."""

import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.config import FeatureConfig, ModelConfig
from avssl.io.folder_lock import NAME
from avssl.media import write_audio, write_video
from avssl.models.encoders import Encoders
from avssl.models.geometry import InputGeometry
from avssl.runs.reader import read_config, read_metrics
from avssl.train import checkpoint

PRETRAIN = (
    "pretrain --recipe avsa/small --data {scenes} --data.batch 4 --data.workers 0 --data.seconds 0.5 --options.crops 2 "
    "--options.size 32 --train.steps 2 --optim.warmup 0 --probe.enabled false --out"
)
COMMANDS = {
    "pretrain": (PRETRAIN + " {out}", "{out}/" + NAME),
    "stage": ("synth stage {out} --clips 1", "{out}/" + NAME),
    "actions": ("synth actions {out} --classes 2 --groups 3 --clips 1", "{out}/" + NAME),
    "ambience": ("synth ambience {out} --recordings 1", "{out}/" + NAME),
    "prepare": ("prepare {media} {out} --layout files", "{out}/" + NAME),
    "detect": ("detect {scenes_folder} --model truth", "{scenes_folder}/.objects-truth.parquet.lock"),
    "embed": ("embed {media} {out}/e.npz --encoders {encoders}", "{out}/.e.npz.lock"),
    "energy": (
        "energy-overlay {media}/a.mp4 {out}/o.mp4 --audio {media}/a.wav --height 64 --frame-rate 4", "{out}/.o.mp4.lock"
    ),
    "report": ("report {run} --out {out}", "{out}/" + NAME),
    "correspondence": ("downstream correspondence --encoders {encoders} --data {scenes} --out {out}", "{out}/" + NAME),
    "spatialize": ("downstream spatialize --data {scenes} --out {out}", "{out}/" + NAME),
    "action": ("downstream action --encoders {encoders} --data {media} --out {out}", "{out}/" + NAME),
    "eigenscape": ("downstream eigenscape --encoders {encoders} --data {media} --out {out}", "{out}/" + NAME),
    "train-detector": ("train-detector {scenes_folder} {out}", "{out}/" + NAME),
}  # fmt: skip


def run(command):
    return CliRunner().invoke(main, command.split())


@contextmanager
def held(path):
    """The lock of another open file, as another process has it."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def places(short_scenes, tmp_path_factory):
    """What the commands read."""
    root = tmp_path_factory.mktemp("read")
    torch.manual_seed(0)
    encoders = Encoders(ModelConfig(), FeatureConfig("foa-iv", sample_rate=8000, n_fft=256, hop=80, mels=32))
    encoders.geometry = InputGeometry(0.5, 4, 8.0, 32, 60.0, 90.0)
    encoders.save(root / "encoders")
    (root / "media").mkdir()
    write_video(root / "media" / "a.mp4", [torch.full((64, 128, 3), 90, dtype=torch.uint8).numpy()] * 8, 8.0)
    write_audio(root / "media" / "a.wav", torch.rand(4, 24000) - 0.5, 24000)
    names = {"scenes": short_scenes, "scenes_folder": short_scenes.parent}
    return {**names, "encoders": root / "encoders", "media": root / "media", "run": root / "run"}


@pytest.fixture(scope="module")
def finished(places):
    result = run(PRETRAIN.format(**places) + f" {places['run']}")
    assert result.exit_code == 0, result.output
    return places


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_that_is_held_is_refused_in_one_line_and_stays(name, finished, tmp_path):
    command, lock = (each.format(**finished, out=tmp_path / "out") for each in COMMANDS[name])
    (tmp_path / "out").mkdir()
    with held(Path(lock)):
        before = sorted(path.name for path in Path(lock).parent.iterdir())
        result = run(command)
        assert sorted(path.name for path in Path(lock).parent.iterdir()) == before
    Path(lock).unlink()
    assert result.exit_code == 2, result.output
    [line] = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert "expected a place where no other command writes, got one that is held by another process; wait until" in line


def test_a_lock_of_nobody_does_not_hold_reading_or_writing_up(finished, tmp_path):
    for name in ("report", "energy", "embed"):
        command, lock = (each.format(**finished, out=tmp_path / name) for each in COMMANDS[name])
        Path(lock).parent.mkdir()
        Path(lock).touch()
        result = run(command)
        assert result.exit_code == 0, result.output
        assert not Path(lock).exists()
    with held(finished["run"] / NAME):
        assert run(f"report {finished['run']}").exit_code == 0


def test_of_two_runs_begun_at_once_one_trains_and_the_other_is_refused(places, tmp_path):
    avssl = str(Path(sys.executable).with_name("avssl"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [avssl, *PRETRAIN.format(**places).split(), str(tmp_path / "run"), "--train.seed"]
    both = [
        subprocess.Popen([*command, seed], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for seed in "12"
    ]
    errors = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], errors
    won, lost = (next(at for at, process in enumerate(both) if process.returncode == code) for code in (0, 2))
    line = errors[lost].splitlines()[-1]
    assert f"held by process {both[won].pid} on " in line
    assert "(avssl pretrain --recipe avsa/small --data " in line
    assert read_config(tmp_path / "run")["train"]["seed"] == won + 1
    assert not (tmp_path / "run" / NAME).exists()
    alone = run(PRETRAIN.format(**places) + f" {tmp_path / 'alone'} --train.seed {won + 1}")
    assert alone.exit_code == 0, alone.output
    assert read_metrics(tmp_path / "alone")["loss"] == read_metrics(tmp_path / "run")["loss"]
    one, other = (checkpoint.load(tmp_path / name / checkpoint.LAST)["task"] for name in ("alone", "run"))
    assert all(torch.equal(value, other[key]) for key, value in one.items())
