"""The example layout, generator, head and synthetic dataset, installed as strangers' distributions and put to use."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from avssl_downstream.spatialize.check_generator import check_generator
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch
from avssl_downstream.spatialize.registry import get_generator
from click.testing import CliRunner, Result

from avssl import plugins
from avssl.cli import main
from avssl.config import DataConfig, FeatureConfig, ModelConfig
from avssl.datasets.manifest import read_manifest
from avssl.media import write_video
from avssl.models import build_encoders
from avssl.synth.dataset_base import load_synthetic_dataset
from avssl.synth.stage.stage_dataset import stage
from avssl.synth.synth360 import synth360
from avssl.testing import check_head, check_layout, check_synthetic_dataset, make_clips
from avssl.train.data_source import clips

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = {
    "layout": (plugins.LAYOUTS, "sessions", "avssl-sessions"),
    "generator": (plugins.GENERATORS, "panner", "avssl-panner"),
    "synthetic_dataset": (plugins.SYNTHETIC_DATASETS, "metronome", "avssl-metronome"),
    "head": (plugins.HEADS, "localize", "avssl-localize"),
}
MISSING = [name for name in ("pip", "hatchling") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)} in this environment")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the examples are installed into."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation", "--target"]
    sources = [str(EXAMPLES / name) for name in NAMES]
    done = subprocess.run([*command, str(folder), *sources], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def installed(target: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(target)
    yield
    for name in [name for name, module in sys.modules.items() if str(target) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


def call(*words: object, **settings: object) -> Result:
    given = [word for key, value in settings.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]
    return CliRunner().invoke(main, [*map(str, words), *given])


def session(folder: Path, seconds: float = 0.5) -> None:
    """Video of 2:1 frames, and ambisonic audio from the front."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(folder.name))
    write_video(folder / "camera.mp4", rng.integers(0, 255, (8, 64, 128, 3), dtype=np.uint8), 16.0)
    mono = 0.1 * rng.standard_normal(round(seconds * 24000))
    soundfile.write(folder / "microphone.wav", np.stack([mono, 0 * mono, 0 * mono, mono], 1), 24000)


def test_examples_are_not_installed_here_but_once_installed_they_are_listed(installed: None) -> None:
    for group, name, distribution in NAMES.values():
        assert plugins.names(group)[name] == distribution
        assert f"avssl_{name}" not in sys.modules
    result = call("list")
    assert result.exit_code == 0, result.output
    for _, name, _ in NAMES.values():
        assert f"  {name} " in result.output


def test_a_strangers_layout_keeps_the_contract_and_is_prepared(installed: None, tmp_path: Path) -> None:
    for number in range(4):
        session(tmp_path / "in" / "day1" / f"take {number}")
    (tmp_path / "in" / "lost").mkdir()
    (tmp_path / "in" / "lost" / "camera.mp4").touch()
    kind = plugins.load(plugins.LAYOUTS, "sessions")
    found = check_layout(kind(), tmp_path / "in")
    assert found.missing == {"audio": ["lost/microphone.wav"]}

    result = call(
        "prepare", tmp_path / "in", tmp_path / "out", "--layout", "sessions", "--height", "32", "--workers", 1
    )
    assert result.exit_code == 0, result.output
    rows = read_manifest(tmp_path / "out").rows
    assert [row.split for row in rows] == [each.split for each in found.recordings] == ["train"] * 3 + ["test"]
    assert {(row.layout, row.width) for row in rows} == {("ambix", 64)}
    assert all(abs(row.azimuth) < 1 for row in rows)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["missing"]["audio"]["count"] == 1

    result = call("prepare", tmp_path / "in", tmp_path / "new", "--layout", "sesions")
    assert result.exit_code == 2
    assert "no layout named 'sesions' (did you mean 'sessions'?); installed: eigenscape, " in result.output
    result = call("prepare", tmp_path / "in", tmp_path / "new", "--layout", "sessions", "--split", "1")
    assert result.exit_code == 2
    assert "the layout sessions has no choice of split lists" in result.output
    assert not (tmp_path / "new").exists()


def test_a_strangers_generator_keeps_the_contract_and_is_trained(installed: None, tmp_path: Path) -> None:
    kind = get_generator("panner")
    panner = kind(kind.Options(), partial(VisualBranch, "scratch"))
    check_generator(panner, make_clips(frames=1, sample_rate=16000, channels=2))

    sizes: dict[str, Any] = {"width": 64, "height": 36, "frame_rate": 8.0, "sample_rate": 16000}
    world = stage(tmp_path / "stage", 4, 1.0, 0, workers=1, progress=False, **sizes).parent
    small = {"train__steps": 2, "train__precision": "32-true", "batch": 2, "workers": 0}
    words = ("downstream", "spatialize", "--data", world, "--out", tmp_path / "run")
    result = call(*words, generator="panner", **small)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (found["steps"], found["tested_clips"]) == (2, 1)
    assert found["oracle_stft"] < found["mono_stft"]

    result = call(*words, generator="paner")
    assert result.exit_code == 2
    assert "no generator named 'paner' (did you mean 'panner'?); installed: asn, " in result.output


def test_a_strangers_synthetic_dataset_keeps_the_contract_and_is_trained_on(
    installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = load_synthetic_dataset("metronome")
    manifest = check_synthetic_dataset(kind(kind.Options(clips=2, seconds=0.5, width=64)), tmp_path / "check")
    (row, _) = read_manifest(manifest).rows
    assert abs(row.azimuth - np.degrees(kind(kind.Options()).describe(0).at(np.array(0.25)))) < 5

    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    config = DataConfig(synthetic_dataset="metronome", clips=2, clip_seconds=0.5, seconds=0.5, frames=1, frame_rate=4.0)
    path, rows = clips(config, 16000, progress=False)
    assert (len(rows), rows.rows[0].sample_rate, path.parent.parent) == (2, 16000, tmp_path / "cache")

    result = call("synth", "metronome", tmp_path / "out", "--clips", 1, "--seconds", 0.25, "--beats", 8, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out" / "scenes.json").read_text())["beats"] == 8
    result = call("synth", "metronome", tmp_path / "none", "--beats", 0)
    assert result.exit_code == 2
    assert "metronome: beats is above 0, not 0" in result.output
    assert not (tmp_path / "none").exists()


def test_a_strangers_head_keeps_the_contract_and_is_a_command(installed: None, tmp_path: Path) -> None:
    world = synth360(tmp_path / "scenes", 8, 0.5, 0, width=64, workers=1, progress=False).parent
    encoders = build_encoders(ModelConfig(), FeatureConfig())
    encoders.save(tmp_path / "encoders")
    kind = plugins.load(plugins.HEADS, "localize")
    found = check_head(kind(encoders, kind.Options(manifest=str(world), seconds=0.5)), tmp_path / "check")

    words = ("downstream", "localize", "--encoders", tmp_path / "encoders", "--out", tmp_path / "run")
    result = call(*words, "--data", world, "--seconds", 0.5)
    assert result.exit_code == 0, result.output
    assert f"{'error':24} {found['error']:.4f}" in result.output
    result = call(*words, "--data", world, "--second", 0.5)
    assert result.exit_code == 2
