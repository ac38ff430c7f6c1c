"""The example plug-in, installed into a fresh environment, is listed, keeps the contract and trains."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from avssl import plugins

PLUGIN = Path(__file__).parents[2] / "examples" / "task"
MISSING = [name for name in ("pip", "hatchling") if importlib.util.find_spec(name) is None]


class Environment:
    """A virtual environment that sees the packages of this one, and into which more can be installed."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.python = next(folder.glob("bin/python")) if (folder / "bin").is_dir() else folder / "Scripts/python.exe"
        site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        parent = sysconfig.get_path("purelib")
        (site / "parent.pth").write_text(f"import site; site.addsitedir({parent!r})\n")

    def run(self, *arguments: str) -> str:
        done = subprocess.run([self.python, *arguments], capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def avssl(self, *arguments: str) -> str:
        return self.run("-c", "from avssl.cli import main; main()", *arguments)

    def install(self, source: Path) -> None:
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--no-index", "--no-deps"]
        done = subprocess.run([*command, "--no-build-isolation", str(source)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def readme_check() -> str:
    """The Python of the plug-in's README."""
    found = re.search(r'python -c "(.*?)"', (PLUGIN / "README.md").read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)} in this environment")
def test_a_separate_distribution_only_has_to_be_installed(short_scenes: Path, tmp_path: Path) -> None:
    assert "shift" not in plugins.names(plugins.TASKS)
    environment = Environment(tmp_path / "environment")
    environment.install(shutil.copytree(PLUGIN, tmp_path / "task"))

    printed = environment.run("-c", f"{readme_check()}\nfrom avssl.cli import main; main(['list'])")
    assert re.search(r"^  shift +\S", printed, re.MULTILINE)
    run = tmp_path / "run"
    settings = {
        "train.steps": 2,
        "train.precision": "32-true",
        "data.batch": 2,
        "data.frames": 2,
        "data.workers": 0,
        "probe.enabled": "false",
    }
    flags = [flag for key, value in settings.items() for flag in ("--set", f"{key}={value}")]
    environment.avssl("pretrain", "--task", "shift", "--data", str(short_scenes), "--out", str(run), *flags)
    assert json.loads((run / "metrics.json").read_text())["steps"] == 2
    assert (run / "encoders" / "model.safetensors").is_file()
