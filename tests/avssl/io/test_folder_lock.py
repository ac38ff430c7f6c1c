import contextlib
import errno
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from avssl.io import folder_lock as module
from avssl.io.folder_lock import NAME, file_lock, folder_lock

pytestmark = pytest.mark.heavy

HOLD = """
import os, sys, time
from pathlib import Path
from avssl.io.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    if sys.argv[2] == "fork" and os.fork() == 0:
        time.sleep(30)
        os._exit(0)
    print("in", flush=True)
    time.sleep(60)
"""
COUNT = """
import sys
from pathlib import Path
from avssl.io import folder_lock as module
module.SECONDS_BETWEEN_TRIES = 0.001
folder = Path(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with module.folder_lock(folder / "held" / "deep", wait=True):
        (folder / "count").write_text(str(int((folder / "count").read_text()) + 1))
"""


@pytest.fixture
def holder():
    """Starts a process that holds a folder; ends it if the test does not."""
    started = []

    def start(folder, how="alone"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder), how], stdout=subprocess.PIPE, start_new_session=True
        )
        started.append(process)
        assert process.stdout.readline() == b"in\n"
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def entered(folder):
    with folder_lock(folder):
        return True


def test_a_second_process_gets_one_line_about_the_holder(holder, tmp_path):
    folder = tmp_path / "run"
    first = holder(folder)
    with pytest.raises(ValueError, match=f"held by process {first.pid} on {platform.node()} since 20..-") as caught:
        entered(folder)
    assert str(caught.value).startswith(f"{folder}: expected a place where no other command writes, got one that ")
    assert f"(-c {folder} alone); wait until it ends" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in folder.iterdir()] == [NAME]


@pytest.mark.parametrize("how", ["alone", "fork"])
def test_the_lock_of_a_killed_holder_is_free_even_where_its_child_lives(holder, tmp_path, how):
    folder = tmp_path / "run"
    first = holder(folder, how)
    first.kill()
    first.wait()
    assert (folder / NAME).is_file()
    assert entered(folder)
    assert not (folder / NAME).exists()


def test_nothing_is_left_and_new_folders_that_stay_empty_go(tmp_path):
    (tmp_path / "old").mkdir()
    for folder in (tmp_path / "old", tmp_path / "a" / "b" / "run"):
        with folder_lock(folder):
            assert (folder / NAME).is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    with folder_lock(tmp_path / "a" / "run"):
        (tmp_path / "a" / "file").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "file", "old"]


def test_a_thread_that_holds_it_enters_again_another_is_refused(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "run")
    with folder_lock(tmp_path / "run"):
        with folder_lock(link):
            assert (tmp_path / "run" / NAME).is_file()
        with ThreadPoolExecutor(1) as other, pytest.raises(ValueError, match=f"held by process {os.getpid()} on"):
            other.submit(entered, tmp_path / "run").result()
    assert not (tmp_path / "run").exists()


def test_processes_that_wait_take_turns_and_lose_none(tmp_path):
    """The lock file is removed at each turn, while others have it open."""
    (tmp_path / "count").write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path), "25"]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(100) for process in processes] == [0, 0, 0, 0]
    assert (tmp_path / "count").read_text() == "100"
    assert not list(tmp_path.rglob(NAME))


def test_a_folder_that_others_remove_while_it_is_made_is_made_again(tmp_path, monkeypatch):
    """Python's `mkdir(parents=True)` makes the upper one, another command removes it as empty, the lower one fails."""
    make, gone = os.mkdir, []

    def removed(path, *given):
        if str(path).endswith("deep") and (tmp_path / "held").exists() and len(gone) < 9:
            (tmp_path / "held").rmdir()
            gone.append(path)
        make(path, *given)

    monkeypatch.setattr(os, "mkdir", removed)
    assert entered(tmp_path / "held" / "deep")
    assert len(gone) == 9
    assert not list(tmp_path.iterdir())


def test_a_folder_gone_at_one_look_and_back_at_the_next_is_no_file(tmp_path, monkeypatch):
    """Another command removes it, and a third one makes it again, between two steps of this one."""
    looks, is_dir = [False], Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path: looks.pop() if looks else is_dir(path))
    (tmp_path / "held" / "deep").mkdir(parents=True)
    assert entered(tmp_path / "held" / "deep")
    assert not looks


def test_a_folder_below_a_dangling_link_or_a_file_is_one_error(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "deep")
    (tmp_path / "file").touch()
    for folder in (tmp_path / "link", tmp_path / "link" / "run", tmp_path / "file" / "run"):
        with pytest.raises(OSError, match="link|file"):
            entered(folder)


def test_who_waits_says_so_and_goes_on_when_the_holder_ends(holder, tmp_path, caplog):
    first = holder(tmp_path)
    threading.Timer(0.5, first.kill).start()
    caplog.set_level("INFO", "avssl")
    begun = time.monotonic()
    with folder_lock(tmp_path, wait=True):
        assert 0.3 < time.monotonic() - begun < 10
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"{tmp_path}: waits for process {first.pid} on ")


def test_a_file_is_held_beside_it_and_other_files_are_not(tmp_path):
    with file_lock(tmp_path / "a.mp4"), file_lock(tmp_path / "b.mp4"), folder_lock(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {".a.mp4.lock", ".b.mp4.lock", NAME}
        with ThreadPoolExecutor(1) as other, pytest.raises(ValueError, match=r"a\.mp4: expected a place where"):
            other.submit(file_lock(tmp_path / "a.mp4").__enter__).result()
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match=r"there is no folder .*nowhere"), file_lock(tmp_path / "nowhere" / "a.mp4"):
        pass


@pytest.mark.parametrize("note", [b"", b"[1]", b"{", b'{"pid": 1}', b"\xff" * 9000, b'"a\\nb"'])
def test_a_lock_file_of_any_content_is_one_line(holder, tmp_path, note):
    holder(tmp_path)
    (tmp_path / NAME).write_bytes(note)
    with pytest.raises(ValueError, match="got one that is held by another process; wait") as caught:
        entered(tmp_path)
    assert "\n" not in str(caught.value)


def test_control_characters_of_a_command_are_not_printed(holder, tmp_path):
    holder(tmp_path)
    note = {"pid": 7, "host": "h", "since": "2026", "command": "a\n\x1b[31mb\udcff"}
    (tmp_path / NAME).write_text(json.dumps(note))
    with pytest.raises(ValueError, match=r"held by process 7 on h since 2026 \(a\?\?\[31mb\?\); wait"):
        entered(tmp_path)


def test_a_stale_lock_file_holds_nobody_up(tmp_path):
    (tmp_path / NAME).write_text("{}")
    assert entered(tmp_path)
    assert not (tmp_path / NAME).exists()


def test_file_systems_without_locks_get_a_warning(tmp_path, monkeypatch, caplog):
    def none(*_, **__):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(module, "lock_descriptor", none)
    assert entered(tmp_path / "run")
    assert "this file system has no locks (No locks available); run one command at a time here" in caplog.text


def test_a_place_that_cannot_be_written_is_one_line_with_its_path(tmp_path):
    (tmp_path / NAME).mkdir()
    with pytest.raises(OSError, match=f"^{tmp_path}: cannot be written: .*Is a directory$"):
        entered(tmp_path)
    with pytest.raises(OSError, match="^/proc/a.npz: cannot be written: "), file_lock(Path("/proc/a.npz")):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file: expected a folder to write to, this is a file"):
        entered(tmp_path / "file")
