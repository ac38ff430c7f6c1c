"""Tiers and distribution of the tests, and folders that all modules of a run share."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

END_TO_END = Path(__file__).parent / "end_to_end"
NOT_FAST = ("heavy", "slow", "gpu")
HEAVY_FIXTURES = {"fitted", "hostile"}
"""A trained generator; a prepared folder: the tests that need them are heavy."""
WORKER = os.environ.get("PYTEST_XDIST_WORKER")

if WORKER:  # each worker has a core of its own; before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process a core for several files; none for a single file, whose tests stay together anyway."""
    from avssl.io.cores import usable_cores

    files = [argument.partition("::")[0] for argument in config.args]
    if usable_cores() == 1 or (len(files) == 1 and Path(files[0]).suffix == ".py"):
        config.option.dist = "no"
        return 0
    return usable_cores()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the fast tier, and begin with the longest: end to end, then files with heavy tests."""
    for item in items:
        if item.path.is_relative_to(END_TO_END) or HEAVY_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("heavy")
        if not any(item.get_closest_marker(name) for name in NOT_FAST):
            item.add_marker("fast")
    heavy: dict[Path, int] = {}
    for item in items:
        heavy[item.path] = heavy.get(item.path, 0) + bool(item.get_closest_marker("heavy"))
    order = {path: (not path.is_relative_to(END_TO_END), -count) for path, count in heavy.items()}
    items.sort(key=lambda item: order[item.path])


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Folders that are written once in a run, whichever process needs them first; not to be changed."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if WORKER else base

    def make(name: str, write: Callable[[Path], object]) -> Path:
        """The folder `name`, after `write` has filled it."""
        folder, done = base / f"shared-{name}", base / f"shared-{name}.done"
        with (base / f"shared-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.is_file():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                write(folder)
                done.touch()
        return folder

    return make
