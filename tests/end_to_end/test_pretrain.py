"""Pretraining as a whole, on a small rendered world, on the CPU."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avssl.cli import main
from avssl.config import RunConfig, fill
from avssl.data.loader import Batches
from avssl.datasets.manifest import Row, read_manifest, write_manifest
from avssl.models.encoder_factory import build_encoders
from avssl.models.encoders import Encoders
from avssl.models.geometry import InputGeometry
from avssl.recipe_files import read_recipe
from avssl.runs.reader import read_config
from avssl.train import checkpoint
from avssl.train.pretrain import fit_statistics, pretrain, summary


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config(manifest, **train):
    return fill(
        RunConfig,
        read_recipe("avsa/small"),
        {
            "data": {"manifest": str(manifest), "batch": 4, "workers": 0, "seconds": 0.5},
            "options": {"crops": 2, "size": 32},
            "train": {"steps": 12, "log_every": 4, "save_every": 3, "show_every": 6, **train},
            "probe": {"epochs": 1, "bootstrap": 100, "workers": 0},
        },
    )


@pytest.fixture(scope="module")
def run(short_scenes, tmp_path_factory):
    """The folder of a finished run, and what it returned."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, pretrain(config(short_scenes), folder, recipe="avsa/small", command=["avssl"], progress=False)


def test_the_run_folder_holds_all_that_a_report_reads(run):
    folder, metrics = run
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    for name in ("avc_bin", "avsa_bin"):
        assert 0 <= metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"] <= 1
    for name in ("audio_to_video", "video_to_audio"):
        assert 0 <= metrics[f"{name}_r1"] <= metrics[f"{name}_r5"] <= metrics[f"{name}_r10"] <= 1
        assert 0 < metrics[f"{name}_r1_chance"] < metrics[f"{name}_r10_chance"] <= 1
    assert {"clips_per_second", "loss", "wait_share", "peak_memory_mb", "train_seconds"} <= metrics.keys()
    assert metrics["steps"] == 12
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert {
        "config.yaml",
        "environment.json",
        "last.ckpt",
        "figures/loss.png",
        "figures/views.png",
    } <= names
    assert {"encoders/config.json", "encoders/model.safetensors", "encoders/README.md"} <= names
    own = {name for name in checkpoint.load(folder / checkpoint.LAST)["task"] if not name.startswith("encoders.")}
    assert load_file(folder / "task.safetensors").keys() == own > {"video_head.weight", "audio_head.weight"}
    assert not [name for name in names if ".part" in name]


def test_saved_encoders_are_those_of_the_last_step_with_training_statistics(run):
    folder, _ = run
    encoders = Encoders.from_pretrained(folder)
    weights = checkpoint.load(folder / checkpoint.LAST)["task"]
    for name, value in encoders.state_dict().items():
        assert torch.equal(value, weights[f"encoders.{name}"]), name
    assert encoders.features.std.min() > 0
    assert not torch.equal(encoders.features.mean, torch.zeros_like(encoders.features.mean))


def test_published_encoders_carry_the_geometry_that_they_were_trained_on(run, short_scenes):
    wanted = config(short_scenes)
    data, crops = wanted.data, wanted.options
    geometry = Encoders.from_pretrained(run[0]).geometry
    assert geometry == InputGeometry(0.5, data.frames, data.frame_rate, 32, crops["min_fov"], crops["max_fov"])


def test_tensorboard_holds_scalars_frames_and_audio(run):
    events = EventAccumulator(str(run[0]), size_guidance={"scalars": 0, "images": 0, "audio": 0}).Reload()
    assert [each.step for each in events.Scalars("loss")] == [4, 8, 12]
    wanted = {"lr", "grad_norm", "clips_per_second", "wait_share", "memory_mb", "spread/audio", "rank/video"}
    assert wanted <= set(events.Tags()["scalars"])
    assert [each.step for each in events.Images("views")] == [1, 6, 12]
    view = events.Images("views")[0]
    assert (view.width, view.height) == (2 * 32, 4 * 32)
    assert events.Images("features")[0].height == 7 * 64
    assert events.Audio("audio")[0].sample_rate == 24000


def test_a_finished_run_is_left_as_it_is(run, short_scenes, caplog):
    folder, metrics = run
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    caplog.set_level("INFO", "avssl")
    with redirect_stdout(io.StringIO()) as printed:
        assert pretrain(config(short_scenes), folder) == metrics
    assert caplog.messages == [f"{folder}: already complete"]
    assert not printed.getvalue()
    assert "AVSA-Bin" in summary(config(short_scenes), folder)
    assert summary(config(short_scenes), folder).splitlines()[-1] == f"run folder: {folder}"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_finished_run_takes_a_title_and_nothing_else(run, short_scenes):
    folder, metrics = run
    named = replace(config(short_scenes), title="first row")
    before = read_config(folder)
    weights = (folder / checkpoint.LAST).stat().st_mtime_ns
    workers = replace(named, data=replace(named.data, workers=named.data.workers + 1))
    assert pretrain(workers, folder, progress=False) == metrics
    assert read_config(folder) == before | {"title": "first row"}
    assert (folder / checkpoint.LAST).stat().st_mtime_ns == weights
    pretrain(config(short_scenes), folder, progress=False)


def test_a_lost_probe_is_measured_again_without_training(run, short_scenes):
    folder, metrics = run
    weights = (folder / checkpoint.LAST).stat().st_mtime_ns
    kept = {name: value for name, value in metrics.items() if "bin" not in name and name != "probed_steps"}
    (folder / "metrics.json").write_text(json.dumps(kept))
    assert pretrain(config(short_scenes), folder, progress=False) == metrics
    assert (folder / checkpoint.LAST).stat().st_mtime_ns == weights


def test_another_config_is_refused_before_anything_is_touched(run, short_scenes):
    folder, _ = run
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    other = config(short_scenes, seed=5)
    with pytest.raises(ValueError, match=r"train\.seed was 0, is 5"):
        pretrain(other, folder, progress=False)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"task": "avas"}, "did you mean 'avsa'"),
        ({"options": {"cropz": 2}}, "did you mean 'crops'"),
        ({"probe": {"epoch": 2}}, "did you mean 'epochs'"),
        ({"features": {"name": "foa-ivv"}}, "did you mean 'foa-iv'"),
        ({"data": {"manifest": "nowhere"}}, "nowhere"),
        ({"model": {"init": "nowhere"}}, "nowhere"),
    ],
)
def test_bad_input_leaves_no_folder(short_scenes, tmp_path, layer, message):
    from dataclasses import asdict

    with pytest.raises((ValueError, OSError), match=message):
        pretrain(fill(RunConfig, asdict(config(short_scenes)), layer), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_audio_of_other_channels_is_one_line_with_its_path_and_leaves_no_folder(short_scenes, tmp_path):
    manifest = shutil.copytree(short_scenes.parent, tmp_path / "world") / short_scenes.name
    row = next(row for row in read_manifest(manifest) if row.split == "train")
    audio = tmp_path / "world" / row.audio
    whole, rate = soundfile.read(audio)
    soundfile.write(audio, whole[:, 0], rate)
    with pytest.raises(ValueError, match=f"^{audio}: foa-iv starts from 4 channels of sound, this has 1$"):
        pretrain(config(manifest), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_stop_while_measuring_exits_with_0_and_the_same_command_measures(short_scenes, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            "avssl_downstream.correspondence.Correspondence.fit", lambda *_: signal.raise_signal(signal.SIGTERM)
        )
        with pytest.raises(SystemExit) as end:
            pretrain(config(short_scenes, steps=1), tmp_path / "run", progress=False)
    assert end.value.code == 0
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert "avsa_bin" in pretrain(config(short_scenes, steps=1), tmp_path / "run", progress=False)


def test_statistics_come_with_encoders_to_start_from_and_are_fitted_otherwise(run, short_scenes):
    manifest = read_manifest(short_scenes, "train")
    for weights, fitted in ((str(run[0]), False), ("published.safetensors", True), ("", True)):
        wanted = fill(RunConfig, {"model": {"init": weights}, "data": {"seconds": 0.5}})
        encoders = build_encoders(replace(wanted.model, init=""), wanted.features)
        fit_statistics(encoders, wanted, manifest, weights)
        assert bool(encoders.features.mean.any()) is fitted


def test_six_steps_then_six_with_loader_processes_are_the_same_bits(run, short_scenes, tmp_path):
    """With a constant rate, so that the length of the run does not change it."""
    for name, lengths, workers in (("whole", (12,), 0), ("parts", (6, 12), 2)):
        for steps in lengths:
            wanted = config(short_scenes, steps=steps)
            wanted = replace(
                wanted,
                data=replace(wanted.data, workers=workers),
                optim=replace(wanted.optim, schedule="constant"),
                probe={"enabled": False},
            )
            pretrain(wanted, tmp_path / name, progress=False)
    one, other = (checkpoint.load(tmp_path / name / checkpoint.LAST) for name in ("whole", "parts"))
    assert one["run"]["loss"] == other["run"]["loss"]
    for name, value in one["task"].items():
        assert torch.equal(value, other["task"][name]), name


TIMES = {"clips_per_second", "wait_share", "memory_mb", "train_seconds", "peak_memory_mb"}
"""What differs between any two runs."""


def scalars(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    tags = set(events.Tags()["scalars"]) - TIMES
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def test_a_run_killed_twice_has_the_metrics_and_figures_of_an_uninterrupted_one(short_scenes, tmp_path, monkeypatch):
    """Cut in the middle of an interval of the log, and between checkpoints."""
    between = Batches.between

    def cut(at):
        def batches(self, start, stop):
            for step, batch in zip(range(start, stop), between(self, start, stop), strict=True):
                if step == at:
                    raise KeyError("killed")
                yield batch

        return batches

    for at in (5, 10):
        monkeypatch.setattr(Batches, "between", cut(at))
        with pytest.raises(KeyError, match="killed"):
            pretrain(config(short_scenes), tmp_path / "parts", progress=False)
    monkeypatch.setattr(Batches, "between", between)
    pretrain(config(short_scenes), tmp_path / "parts", progress=False)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    pretrain(config(short_scenes), whole, recipe="avsa/small", command=["avssl"], progress=False)
    one, other = (json.loads((folder / "metrics.json").read_text()) for folder in (whole, parts))
    assert list(one) == list(other)
    assert one.keys() > TIMES
    assert {name: one[name] for name in one.keys() - TIMES} == {name: other[name] for name in other.keys() - TIMES}
    for name in ("figures/loss.png", "figures/views.png", "encoders/model.safetensors", "task.safetensors"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes(), name
    assert scalars(whole) == scalars(parts)
    assert [step for step, _ in scalars(parts)["loss"]] == [4, 8, 12]


def test_clips_without_splits_train_all_and_skip_the_probe(short_scenes, tmp_path, caplog):
    manifest = shutil.copytree(short_scenes.parent, tmp_path / "world") / "unlabelled.parquet"
    rows = [Row(**{**row, "split": ""}) for row in pq.read_table(short_scenes).to_pylist()]
    write_manifest(manifest, rows)
    metrics = pretrain(config(manifest, steps=2), tmp_path / "run")
    assert "not measured" in caplog.text
    assert "avsa_bin" not in metrics
    assert (tmp_path / "run" / "encoders" / "model.safetensors").is_file()
    assert len(read_manifest(manifest)) == 12


def test_two_processes_train_the_encoders_of_one(short_scenes, tmp_path):
    """Through the command line and torchrun; float32, one step a log."""
    settings = {
        "data.manifest": short_scenes, "data.batch": 4, "data.workers": 0, "data.seconds": 0.5,
        "options.crops": 2, "options.size": 32, "train.steps": 3, "train.precision": "32-true",
        "optim.warmup": 0, "optim.schedule": "constant", "probe.enabled": "false",
    }  # fmt: skip
    flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    command = ["pretrain", "--recipe", "avsa/small", *flags, "--out"]
    done = CliRunner().invoke(main, [*command, str(tmp_path / "one")])
    assert done.exit_code == 0, done.output
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
    avssl = str(Path(sys.executable).with_name("avssl"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    together = [*torchrun, avssl, *command, str(tmp_path / "two")]
    done = subprocess.run(together, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, two = (checkpoint.load(tmp_path / name / checkpoint.LAST) for name in ("one", "two"))
    assert two["run"]["clips"] == one["run"]["clips"] == 12
    assert two["run"]["loss"] == pytest.approx(one["run"]["loss"], rel=1e-3)
    for name, value in one["task"].items():
        if name.endswith(("running_mean", "running_var")):
            assert (two["task"][name] - value).norm() <= 1e-2 * value.norm() + 1e-3, name


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_is_flat_over_2000_steps(short_scenes, tmp_path):
    wanted = config(short_scenes, steps=2000, log_every=20, save_every=100, show_every=100)
    pretrain(
        replace(wanted, data=replace(wanted.data, workers=2), probe={"enabled": False}),
        tmp_path / "run",
        progress=False,
    )
    events = EventAccumulator(str(tmp_path / "run"), size_guidance={"scalars": 0}).Reload()
    memory = [each.value for each in events.Scalars("memory_mb")]
    early, late = sum(memory[5:15]) / 10, sum(memory[-10:]) / 10
    print(f"\nmemory at steps 100-300: {early:.0f} MB; at steps 1800-2000: {late:.0f} MB; {late / early - 1:+.1%}")
    assert late < 1.05 * early
