"""Jobs on a Ray cluster: what a dead worker, a dead node or a missing folder costs."""

import builtins
import os
import signal
import socket
import time
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from avssl.cli import main
from avssl.errors import InputError
from avssl.io import ray_pool
from avssl.io.folder_lock import folder_lock
from avssl.io.process_pool import CrashError, has_other_pool, outcomes
from avssl.io.ray_pool import SharedPaths, UnseenFolderError, on_ray

JOBS = 24


def square(out, number):
    """Write the square beside a mark of the try; 3 kills its process once, 5 always, 7 raises."""
    (out / f"tried-{number}-{os.getpid()}-{time.time_ns()}").touch()
    if number == 5 or (number == 3 and len(list(out.glob("tried-3-*"))) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 7:
        raise InputError("seven.mp4: expected a video")
    time.sleep(0.2)
    part = out / f".{number}-{os.getpid()}"
    part.write_text(str(number**2))
    part.rename(out / str(number))
    return number**2


def test_an_address_without_ray_is_one_line_at_once():
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(InputError) as caught, on_ray(address):
            pass
    assert time.monotonic() - begun < 10
    assert f"{address}: expected a Ray cluster, found none (nothing answers at {address}" in str(caught.value)
    assert "ray start --head" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_ray_the_command_to_install_it_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name == "ray":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'avssl\[ray\]'"), on_ray("auto"):
        pass


def test_a_node_that_lacks_a_folder_is_named(tmp_path):
    with folder_lock(tmp_path):
        SharedPaths((str(tmp_path),), str(tmp_path)).check()
    with pytest.raises(UnseenFolderError, match=f"{tmp_path}: expected a folder that every Ray node sees"):
        SharedPaths((), str(tmp_path)).check()  # another folder of this name: without the lock of the command
    with pytest.raises(UnseenFolderError, match="gone: expected a folder"):
        SharedPaths((str(tmp_path / "gone"),)).check()


@pytest.fixture
def cluster():
    """Two nodes with a CPU and a small object store each: address, and what kills the second one."""
    utils = pytest.importorskip("ray.cluster_utils")
    settings = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    made = utils.Cluster(initialize_head=True, head_node_args=settings)
    second = made.add_node(**settings)
    yield made.address, lambda: made.remove_node(second, allow_graceful=False)
    made.shutdown()


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_node_lose_nothing(cluster, tmp_path, capfd):
    address, kill_node = cluster
    found: dict[int, object] = {}
    with on_ray(address):
        assert has_other_pool()
        for job, outcome in outcomes(partial(square, tmp_path), range(JOBS), 1):
            assert job not in found
            found[job] = outcome
            if len(found) == 4:
                kill_node()
    assert not has_other_pool()
    assert sorted(found) == list(range(JOBS))
    crash, refused = found.pop(5), found.pop(7)
    assert isinstance(crash, CrashError)
    assert "its worker process died, 3 times" in str(crash)
    assert (type(refused), str(refused)) == (InputError, "seven.mp4: expected a video")
    assert found == {number: number**2 for number in found}
    assert {int(path.name): path.read_text() for path in tmp_path.iterdir() if path.name.isdigit()} == {
        number: str(number**2) for number in found
    }
    assert "Raylet is terminated" not in capfd.readouterr().out


@pytest.mark.slow
def test_closing_the_generator_ends_what_is_under_way(tmp_path):
    pytest.importorskip("ray")

    def marked(number):
        (tmp_path / f"begun-{number}").touch()
        time.sleep(0 if number == 0 else 600)
        return number

    with on_ray("local"):
        run = ray_pool.ray_outcomes(marked, range(1000))
        assert next(run) == (0, 0)
        begun = time.monotonic()
        run.close()
    assert time.monotonic() - begun < 30
    assert len(list(tmp_path.glob("begun-*"))) < 50  # a bounded number was sent


@pytest.mark.slow
def test_a_folder_that_no_node_sees_ends_the_run(tmp_path):
    pytest.importorskip("ray")
    with on_ray("local", [Path("/no/such/folder")]), pytest.raises(UnseenFolderError, match="/no/such/folder"):
        list(outcomes(partial(square, tmp_path), range(3), 1))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_rendering_on_ray_gives_the_files_of_this_machine(tmp_path):
    pytest.importorskip("ray")
    options = ["--seconds", "0.5", "--width", "64", "--clips", "2"]
    for name, more in (("here", ["--workers", "1"]), ("there", ["--ray", "local"])):
        result = CliRunner().invoke(main, ["synth", "synth360", str(tmp_path / name), *options, *more])
        assert result.exit_code == 0, result.output
        assert result.stdout == f"{tmp_path / name / 'manifest.parquet'}\n"
    for path in (tmp_path / "here").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "there" / path.relative_to(tmp_path / "here")).read_bytes()
