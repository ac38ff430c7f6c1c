"""`avssl reproduce` from the command line, on short scenes and a few short actions."""

import os
import signal

import pytest
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.config import RunConfig
from avssl.io.tensor_files import read_tensors
from avssl.recipe_files import resolve
from avssl.reproduce.run_note import NOTE
from avssl.train.loop import Trainer
from avssl.train.pretrain import pretrain

PRETRAIN = {
    "data.batch": 3, "data.workers": 0, "data.seconds": 0.5, "data.frames": 2, "options.crops": 2, "options.size": 32,
    "train.steps": 3, "train.log_every": 1, "train.precision": "32-true", "probe.enabled": "false",
}  # fmt: skip
ACTION = {
    "epochs": 1, "train_clips": 1, "test_clips": 1, "batch": 2, "size": 32, "resize": 36, "workers": 0,
    "precision": "32-true",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def few_actions(shared_folder):
    """Two motions of three groups in the layout of UCF101; not to be changed."""
    from avssl.synth.actions.actions_dataset import actions

    size = {"classes": 2, "groups": 3, "clips": 1, "seconds": 0.75, "width": 64, "height": 48}
    return shared_folder("few-actions", lambda folder: actions(folder, "ucf101", workers=1, progress=False, **size))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def table1(short_scenes, few_actions, tmp_path):
    """Runs `avssl reproduce table1` with tiny settings in a folder of its own."""

    def run(*flags):
        sections = {"pretrain": PRETRAIN, "action": ACTION}
        given = [f"{section}.{key}={value}" for section, of in sections.items() for key, value in of.items()]
        fixed = [
            "--data",
            str(short_scenes),
            "--ucf101",
            str(few_actions),
            "--seeds",
            "7",
            "--out",
            str(tmp_path / "out"),
        ]
        rows = ["--task", "avsa", "--row", "beam", "--row", "baseline"]
        command = ["reproduce", "table1", *fixed, *rows, *(word for each in given for word in ("--set", each))]
        return CliRunner().invoke(main, [*command, *flags])

    return run


def test_table1_is_stopped_continued_and_equals_the_ordinary_command(table1, short_scenes, tmp_path, monkeypatch):
    out = tmp_path / "out"
    plan = table1("--dry-run")
    assert plan.exit_code == 0, plan.output
    assert plan.output.startswith("table1: 9 runs, 0 complete, 9 to make\n")
    assert not out.exists()

    with monkeypatch.context() as stopped:
        advance = Trainer.advance

        def advance_and_stop(trainer, *batch):
            advance(trainer, *batch)
            if "avsa-beam" in str(trainer.folder) and trainer.run.step == 1:
                os.kill(os.getpid(), signal.SIGTERM)

        stopped.setattr(Trainer, "advance", advance_and_stop)
        first = table1()
    assert first.exit_code == 0, first.output
    assert "SIGTERM: ended after step 1 of 3; saved, the same command continues" in first.output
    assert not (out / "table1").exists()

    baseline, beam = (out / "encoders" / f"avsa-{row}-seed7" for row in ("baseline", "beam"))
    made = (baseline / "metrics.json").stat().st_mtime_ns
    done = table1()
    assert done.exit_code == 0, done.output
    assert "6 to make" not in done.output
    assert "continues from step 1" in done.output
    assert (baseline / "metrics.json").stat().st_mtime_ns == made
    names = ("untrained", "avsa-baseline", "avsa-beam")
    heads = [f"action/{name}-{way}-ucf101-seed7" for name in names for way in ("frozen", "fine-tuned")]
    encoders = [f"encoders/{name}-seed7" for name in ("avsa-baseline", "avsa-beam", "untrained-baseline")]
    assert sorted(path.parent.relative_to(out).as_posix() for path in out.rglob(NOTE)) == sorted([*heads, *encoders])
    lines = [line for line in done.output.splitlines() if line.startswith("| ")]
    assert [line.split("|")[2].strip() for line in lines[2:] if "difference" not in line] == [
        "chance", "untrained encoders", "AVSA baseline", "AVSA beam",
    ]  # fmt: skip
    assert "synthetic actions (UCF101 layout), frozen %" in lines[0]
    assert "50.0" in lines[2]
    assert "paper" not in done.output

    again = table1()
    assert "9 complete, 0 to make" in again.output
    assert "run 1 of" not in again.output
    assert [line for line in again.output.splitlines() if line.startswith("| ")] == lines

    # the stopped and continued run equals one by the function of `avssl pretrain` alone
    settings = ({section: {name: value}} for section, name, value in _nested(PRETRAIN))
    given = {"train": {"seed": 7}, "data": {"manifest": str(short_scenes)}}
    pretrain(resolve(RunConfig, "avsa/small-beam", given, *settings), tmp_path / "alone", progress=False)
    alone, continued = (_weights(folder) for folder in (tmp_path / "alone", beam))
    assert all(torch.equal(alone[name], continued[name]) for name in alone)
    # the floor has the statistics of its pretraining, not its weights
    start, trained = _weights(out / encoders[2]), _weights(baseline)
    assert torch.equal(start["audio.features.mean"], trained["audio.features.mean"])
    assert not all(torch.equal(start[name], trained[name]) for name in start if name.startswith("video"))


def _nested(settings):
    for key, value in settings.items():
        section, _, name = key.partition(".")
        yield section, name, value == "true" if value in ("true", "false") else value


def _weights(folder):
    return read_tensors(folder / "encoders" / "model.safetensors")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ucf101", "nowhere"], "nowhere: expected UCF101's"),
        (["--hmdb51", "nowhere"], "nowhere: expected HMDB51's lists"),
        (["--data", "nowhere"], "nowhere"),
        (["--seeds", "1,1"], "expected different whole numbers"),
        (["--seeds", "-1"], "expected different whole numbers"),
        (["--set", "train.steps=2"], "expected pretrain.KEY=VALUE or action.KEY=VALUE, got 'train.steps=2'"),
        (["--set", "pretrain.optim.lrr=2"], "did you mean 'lr'"),
        (["--set", "action.epoch=2"], "did you mean 'epochs'"),
        (["--row", "iv-yol"], "'iv-yol' is not one of"),
        (["--size", "full", "--row", "yolo", "--set", "pretrain.data.detector=nowhere.pt"], "nowhere.pt"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["reproduce", "table1", *flags])
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()
