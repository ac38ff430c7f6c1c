"""The command line: help without torch, one-line errors, exit codes."""

import shutil
import subprocess
import sys
import warnings

import pytest
from click.testing import CliRunner

from avssl.cli import main
from avssl.cli.overrides import dotted


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["downstream", "--help"], ["recipe", "avsa/small"]])
def test_looking_around_does_not_import_torch(arguments):
    run = f"from avssl.cli import main; main({arguments}, standalone_mode=False)"
    code = f"import sys; {run}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_list_names_what_is_installed():
    output = CliRunner().invoke(main, ["list"]).output
    for name in ("avsa", "avc", "correspondence", "avsa/small"):
        assert name in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pretrain", "--task", "avsaa"], "did you mean 'avsa'"),
        (["pretrain", "--features", "foa-vi"], "did you mean 'foa-iv'"),
        (["pretrain", "--set", "optim.lrr=3"], "did you mean 'lr'"),
        (["pretrain", "--set", "options.crop=3"], "did you mean 'crops'"),
        (["pretrain", "--set", "optim.lr"], "KEY=VALUE"),
        (["pretrain", "--set", "optim.lr=[1"], "--set optim.lr=[1: "),
        (["pretrain", "--set", "options.crops=2", "--set", "options=[1]"], "--set options=[1]: "),
        (["pretrain", "--set", "optim=3"], "OptimConfig"),
        (["pretrain", "--set", "probe.epoch=3"], "did you mean 'epochs'"),
        (["pretrain", "--set", "options.colour.hues=1"], "did you mean 'hue'"),
        (["pretrain", "--set", "train.precision=bf16-mixd"], "did you mean 'bf16-mixed'"),
        (["pretrain", "--set", "probe.precision=transformer-engine"], "probe: precision is auto, bf16-mixed"),
        (["pretrain", "--set", "probe.seed=-1"], "seed: expected 0 or more, got -1"),
        (["pretrain", "--set", "train.seed=-1"], "train.seed is from 0"),
        (["pretrain", "--set", "data.workers=-1"], "data.workers must not be negative"),
        (["pretrain", "--set", "optim.clip_norm=-1"], "optim.clip_norm must not be negative"),
        (["pretrain", "--task", ""], "installed: "),
        (["pretrain", "--data", "[nowhere"], "[nowhere"),
        (["pretrain", "--recipe", "avsa/smal"], "did you mean 'avsa/small'"),
        (["pretrain", "--data", "nowhere"], "nowhere"),
        (["pretrain", "--init", "nowhere"], "nowhere"),
        (["downstream", "correspondance", "--encoders", "x"], "did you mean 'correspondence'"),
        (["downstream", "correspondence", "--encoders", "nowhere"], "nowhere"),
        (["downstream", "correspondence", "--encoders", "x", "--input", "y"], "--input and --output"),
        (["push", "nowhere", "user/name"], "expected REPOSITORY as hf://USER/NAME"),
        (["push", "nowhere", "hf://user/name"], "nowhere"),
        (["downstream", "correspondence", "--encoders", "x", "--hiden", "3"], "did you mean '--hidden'"),
        (["downstream", "correspondence", "--encoders", "x", "--hidden=many"], "many"),
        (["downstream", "correspondence", "--encoders", "x", "--hidden"], "Option '--hidden' requires an argument"),
        (["downstream", "correspondence", "--encoders", "x", "stray"], "unexpected extra argument (stray)"),
        (["downstream", "correspondence", "--encoders", "x", "--min-separation", "120"], "do not fit"),
        (["downstream", "correspondence", "--encoders", "x", "--recipe", "avsa/small"], "unknown key"),
        (["downstream", "correspondence", "--head", "x"], "or for --data SET"),
        (["downstream", "correspondence", "--head", "x", "--data", "y"], "only evaluates"),
        (["downstream", "correspondence", "--head", "x", "--data", "y", "--encoders", "z"], "leave out --encoders"),
        (["downstream", "correspondence", "--head", "x", "--input", "y", "--output", "z"], "only evaluates"),
        (["downstream", "correspondence", "--encoders", "x", "--set", "hiden=3"], "did you mean 'hidden'"),
        (["prepare", "nowhere", "out", "--layout", "files"], "nowhere"),
        (["prepare", ".", "out", "--layout", "yt361"], "did you mean 'yt360'"),
        (["prepar"], "did you mean 'prepare'"),
        (["scenes", "stage", "out"], "`avssl scenes` is now `avssl synth`"),
        (["detector", "x", "y"], "`avssl detector` is now `avssl train-detector`"),
        (["energy", "x", "y"], "`avssl energy` is now `avssl energy-overlay`"),
        (["downstream", "scenes"], "`avssl downstream scenes` is now `avssl downstream acoustic-scenes`"),
        (["downstream", "correspondence", "--head", "x", "--apply", "y"], "--apply is now --input"),
        (["downstream", "correspondence", "--head", "x", "--to=y"], "--to is now --output"),
        (["downstream", "spatialize", "--most-clips", "3"], "--most-clips is now --max-clips"),
        (["downstream", "spatialize", "--set", "most_clips=3"], "'most_clips' is now 'max_clips'"),
        (["downstream", "action", "--strength", "3"], "--strength is now --C"),
        (["pretrain", "--set", "model.weights=x"], "'model.weights' is now 'model.init'"),
        (["pretrain", "--set", "optim.shares={}"], "'optim.shares' is now 'optim.lr_multipliers'"),
        (["pretrain", "--set", "options.lowest=-9"], "'lowest' is now 'min_elevation'"),
        (["pretrain", "--options.guide", "objects"], "--options.guide is now --options.crop-guide"),
        (["energy-overlay", "x", "y", "--sound", "z"], "--sound is now --audio"),
        (["prepare", ".", "out", "--layout", "fair-play", "--detect", "x.pt"], "ordinary field of view"),
        (["prepare", ".", "out", "--layout", "files", "--projection", "flat", "--detect", "x.pt"], "ordinary field"),
    ],
)
def test_a_mistake_is_answered_in_one_line_with_exit_code_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert result.output.strip().count("\n") == 0
    assert not list(tmp_path.iterdir())


def test_a_wrong_key_of_a_recipe_is_told_with_its_path(tmp_path):
    (tmp_path / "mine.yaml").write_text("optim: {lrr: 1}\n")
    result = CliRunner().invoke(main, ["pretrain", "--recipe", str(tmp_path / "mine.yaml")])
    assert result.exit_code == 2
    assert f"{tmp_path / 'mine.yaml'}: unknown key 'optim.lrr' (did you mean 'lr'?)" in result.output
    (tmp_path / "mine.yaml").write_text("- 1\n")
    result = CliRunner().invoke(main, ["pretrain", "--recipe", str(tmp_path / "mine.yaml")])
    assert (result.exit_code, "this is a list" in result.output) == (2, True)


HEADS = """
from dataclasses import dataclass
from avssl.errors import InputError
from avssl.head import Head

class Note(Head):
    def fit(self, folder):
        (folder / "note.txt").write_text("here")
        return {"answer": 42.0}

    def apply(self, source, target):
        target.write_text(source.read_text().upper())

@dataclass(frozen=True)
class ScaleOptions:
    scale: float = 1.0

class Refuse(Head):
    Options = ScaleOptions

    def fit(self, folder):
        raise InputError("nothing to do")

@dataclass(frozen=True)
class KeepOptions:
    root: str = ""
    scale: float = 1.0

class Keep(Head):
    Options = KeepOptions

    def fit(self, folder):
        (folder / "kept.txt").write_text("21")
        return {}

    @classmethod
    def load(cls, folder, settings):
        head = cls(None, KeepOptions(**settings))
        head.kept = int((folder / "kept.txt").read_text())
        return head

    def measure(self, folder):
        (folder / "root.txt").write_text(self.options.root)
        return {"answer": self.kept * self.options.scale}
"""


@pytest.fixture
def encoders(tmp_path, monkeypatch):
    """Saved encoders, beside a distribution of heads that is not ours."""
    from avssl.config import FeatureConfig, ModelConfig
    from avssl.models.encoder_factory import build_encoders

    info = tmp_path / "site" / "strange-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[avssl.downstream]\nnote = strange_heads:Note\nrefuse = strange_heads:Refuse\nkeep = strange_heads:Keep\n"
    )
    (info.parent / "strange_heads.py").write_text(HEADS)
    monkeypatch.syspath_prepend(info.parent)
    build_encoders(ModelConfig(), FeatureConfig()).save(tmp_path / "run" / "encoders")
    yield tmp_path / "run"
    sys.modules.pop("strange_heads", None)


def test_a_strangers_head_without_options_or_manifest_is_fitted_and_applied(encoders, tmp_path):
    def downstream(*arguments):
        return CliRunner().invoke(main, ["downstream", *map(str, arguments)])

    fitted = downstream("note", "--encoders", encoders)
    assert (fitted.exit_code, fitted.output.split()) == (0, ["answer", "42.0000"])
    assert (encoders / "note" / "note.txt").read_text() == "here"
    (tmp_path / "in.txt").write_text("quiet")
    applied = downstream(
        "note", "--encoders", encoders, "--input", tmp_path / "in.txt", "--output", tmp_path / "out.txt"
    )
    assert (applied.exit_code, (tmp_path / "out.txt").read_text()) == (0, "QUIET")
    for arguments, message in (
        ([], "nothing to do"),
        (["--data", "x"], "the head 'refuse' reads no data"),
        (["--set", "scal=2"], "did you mean 'scale'"),
        (["--input", "x", "--output", "y"], "x: expected a generative head, got Refuse"),
    ):
        refused = downstream("refuse", "--encoders", encoders, *arguments)
        assert refused.exit_code == 2, refused.output
        assert message in refused.output
        assert refused.output.strip().count("\n") == 0
    assert not (encoders / "refuse").exists()


@pytest.mark.parametrize("given", ["run", "run/encoders", "run/encoders/", "elsewhere"])
def test_results_of_a_head_go_beside_encoders_and_never_into_them(encoders, tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(encoders / "encoders", tmp_path / "elsewhere")
    before = sorted(tmp_path.rglob("encoders/*")), sorted(tmp_path.rglob("elsewhere/*"))
    result = CliRunner().invoke(main, ["downstream", "note", "--encoders", given])
    assert result.exit_code == 0, result.output
    results = tmp_path / ("runs" if given == "elsewhere" else "run") / "note"
    assert (results / "note.txt").is_file()
    assert before == (sorted(tmp_path.rglob("encoders/*")), sorted(tmp_path.rglob("elsewhere/*")))


def test_encoders_named_from_within_their_folder_take_no_results(encoders, monkeypatch):
    monkeypatch.chdir(encoders / "encoders")
    assert CliRunner().invoke(main, ["downstream", "note", "--encoders", "."]).exit_code == 0
    assert (encoders / "note" / "note.txt").is_file()


def test_a_strangers_fitted_head_is_measured_on_other_data(encoders, tmp_path):
    def downstream(*arguments):
        return CliRunner().invoke(main, ["downstream", "keep", *map(str, arguments)])

    assert downstream("--encoders", encoders, "--out", tmp_path / "fitted").exit_code == 0
    measured = downstream("--head", tmp_path / "fitted", "--data", "other", "--scale", "2")
    assert (measured.exit_code, measured.output.split()) == (0, ["answer", "42.0000"])
    assert (tmp_path / "fitted" / "measured" / "root.txt").read_text() == "other"
    refused = downstream("--head", tmp_path / "fitted")
    assert (refused.exit_code, "--data SET to be measured on" in refused.output) == (2, True)


def test_a_stop_and_a_warning_are_a_line_each(monkeypatch, tmp_path):
    def stopped(*_, **__):
        warnings.warn("the ears\nare exchanged", stacklevel=2)
        raise KeyboardInterrupt

    monkeypatch.setattr("avssl.synth.stage.stage_dataset.Stage.render", stopped)
    result = CliRunner().invoke(main, ["synth", "stage", str(tmp_path / "out")])
    assert result.exit_code == 130
    warned, said = result.stderr.splitlines()
    assert warned == "Warning: the ears are exchanged"
    assert "nothing is half-written" in said


def test_a_key_is_emptied_by_nothing_behind_the_sign():
    given = dotted(["ablate=", "optim.lr=1e-3", "names=[]", "title=a=b", "root=a="])
    assert given == {"ablate": "", "optim": {"lr": 1e-3}, "names": [], "title": "a=b", "root": "a="}


@pytest.mark.heavy
def test_what_only_some_need_is_imported_when_asked_for():
    optional = (
        "timm torchvision matplotlib sklearn pytorch_metric_learning spaudiopy ot tensorboard "
        "scipy.linalg scipy.signal scipy.special"
    )
    modules = (
        "avssl_tasks.avsa avssl_tasks.swap avssl.train.pretrain avssl.hear avssl.detection.detect_objects "
        + " ".join(
            f"avssl_downstream.{name}"
            for name in ("correspondence", "action", "acoustic_scenes", "eigenscape", "spatialize")
        )
    )
    code = f"import sys, {modules.replace(' ', ', ')}; print([m for m in '{optional}'.split() if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
