"""The contract of exceptions: user input in one line and exit code 2, a bug as a traceback and exit code 1."""

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from avssl.data.worker_loader import ErrorsAsResults, in_order, read_error
from avssl.datasets.dataset import Dataset
from avssl.datasets.manifest import read_manifest
from avssl.detection.ground_truth import read_truth
from avssl.errors import InputError, MissingFileError, OutputError, is_input_error, one_line
from avssl.io.atomic import replacing
from avssl.io.process_pool import outcomes
from avssl.io.tensor_files import read_tensors
from avssl.media import read_audio, read_frames
from avssl.media.hrir_files import read_hrirs
from avssl.media.image_sequence import decoded
from avssl.models.encoders import Encoders
from avssl.recipe_files import read_recipe
from avssl.runs.reader import read_config, read_metrics
from avssl.synth.user_clips.annotations import read_annotations
from avssl.synth.user_clips.cutouts import read_cut_out
from avssl.train import checkpoint

KINDS = [InputError, MissingFileError, OutputError]
PLUGIN = """
import numpy as np, torch
from avssl.errors import InputError
from avssl.head import Head

class Shapes(Head):
    needs_encoders = False
    def fit(self, folder):
        return {"sum": float(torch.ones(2).reshape(3).sum())}

class Numbers(Head):
    needs_encoders = False
    def fit(self, folder):
        return {"sum": float(np.ones(2) @ np.ones(3))}

class Asserts(Head):
    needs_encoders = False
    def fit(self, folder):
        raise OSError("a bug that names no error of the system")

class Refuses(Head):
    needs_encoders = False
    def fit(self, folder):
        raise InputError("expected clips, got none (here)")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_input_errors_are_value_errors_and_cross_processes(kind):
    found = pickle.loads(pickle.dumps(kind("a.wav: expected sound")))
    assert (type(found), str(found), isinstance(found, ValueError)) == (kind, "a.wav: expected sound", True)
    assert is_input_error(found)


@pytest.mark.parametrize(
    "text",
    [
        "unable to resize file </torch_4222_1196046209_0> to the right size: File too large (27)",
        "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left on device (28)",
        "could not create a primitive",
    ],
)
def test_shared_memory_and_kernels_that_cannot_be_had_are_one_line(text):
    assert is_input_error(RuntimeError(text))
    assert one_line(RuntimeError(text)) == (
        f"too little memory ({text}); smaller batches, shorter windows or fewer workers take less"
    )


def test_a_message_of_a_megabyte_lacks_its_middle():
    text = one_line(InputError(f"list.txt: expected a class, got {'x' * 10**6}; name one"))
    assert text.startswith("list.txt: expected a class, got xxx")
    assert text.endswith("xxx; name one")
    assert len(text) < 4100


def test_missing_files_and_refused_outputs_are_os_errors_too():
    assert issubclass(MissingFileError, FileNotFoundError)
    assert issubclass(OutputError, OSError)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.EFBIG])
def test_the_systems_refusals_are_input_errors_with_path_and_reason(number):
    error = OSError(number, os.strerror(number), "some/file")
    assert is_input_error(error)
    assert one_line(error) == f"some/file: {os.strerror(number)}"


@pytest.mark.parametrize(
    "bug", [ValueError("shapes"), OSError("no number"), OSError(errno.EBADF, "bad"), KeyError("k")]
)
def test_plain_exceptions_are_bugs(bug):
    assert not is_input_error(bug)


def work(job):
    raise job


@pytest.mark.heavy
def test_the_process_pool_carries_input_errors_as_such():
    found = {type(outcome): str(outcome) for _, outcome in outcomes(work, [kind("a.mp4: broken") for kind in KINDS], 1)}
    assert found == dict.fromkeys(KINDS, "a.mp4: broken")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", [*KINDS, ValueError])
def test_loader_processes_carry_errors_as_they_are(kind, workers):
    with pytest.raises(ValueError, match="a.mp4: broken") as caught:
        next(in_order(work, [kind("a.mp4: broken")], workers))
    assert (type(caught.value), str(caught.value)) == (kind, "a.mp4: broken")
    assert "in work" in caught.value.__notes__[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bug_in_a_loader_is_no_unreadable_file(workers):
    assert str(read_error(next(in_order(ErrorsAsResults(work), [InputError("a: broken")], workers)))) == "a: broken"
    with pytest.raises(ValueError, match="shapes"):
        next(in_order(ErrorsAsResults(work), [ValueError("shapes")], workers))


BORDERS = [
    ("manifest.parquet", read_manifest),
    ("mine.yaml", lambda path: read_recipe(str(path))),
    ("encoders/config.json", lambda path: Encoders.from_pretrained(path.parent)),
    ("w.safetensors", read_tensors),
    ("last.ckpt", checkpoint.load),
    ("config.yaml", lambda path: read_config(path.parent)),
    ("metrics.json", lambda path: read_metrics(path.parent)),
    ("a.mp4", lambda path: list(read_frames(path, [0.0], (16, 16)))),
    ("a.wav", lambda path: read_audio(path, 0.0, 1.0)),
    ("a.m4a", lambda path: read_audio(path, 0.0, 1.0)),
    ("a.jpg", decoded),
    ("a.sofa", read_hrirs),
    ("truth.parquet", read_truth),
    ("sources.json", read_annotations),
    ("a.npz", read_cut_out),
    ("set.json", Dataset.load),
]
GARBAGE = {"bytes": b"\x81\x00 broken \x9d" * 40, "nothing": b"", "text": b"{] 1"}


@pytest.mark.parametrize("content", GARBAGE)
@pytest.mark.parametrize(("name", "read"), BORDERS, ids=[name for name, _ in BORDERS])
def test_a_spoiled_file_is_an_input_error_that_names_it(name, read, content, tmp_path):
    if content == "nothing" and name.endswith(".yaml"):
        pytest.skip("no key is set, which is valid")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(GARBAGE[content])
    (path.parent / "encoders.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=path.name) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_full_disk_under_safetensors_is_an_output_error(tmp_path):
    def save():
        with replacing(tmp_path / "w.safetensors"):
            raise SafetensorError("I/O error: No space left on device (os error 28)")

    with pytest.raises(OutputError, match=r"w\.safetensors: cannot be written: .*No space left"):
        save()
    assert not list(tmp_path.iterdir())


def run_plugin(name: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    info = folder / "bugs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bugs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[avssl.downstream]\n{name.lower()} = bugs_plugin:{name}\n")
    (folder / "bugs_plugin.py").write_text(PLUGIN)
    command = [sys.executable, "-c", "from avssl.cli import main; main()", "downstream", name.lower(), "--out", "out"]
    settings = {**os.environ, "PYTHONPATH": str(folder), **env}
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("name", "kind"), [("Shapes", "RuntimeError"), ("Numbers", "ValueError"), ("Asserts", "OSError")]
)
@pytest.mark.heavy
def test_a_bug_in_a_plugin_shows_its_traceback_and_exits_1(name, kind, tmp_path):
    done = run_plugin(name, tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Traceback (most recent call last)" in done.stderr
    assert "in fit" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{kind}: ")


@pytest.mark.heavy
def test_a_plugins_input_error_is_one_line_and_exit_2(tmp_path):
    done = run_plugin("Refuses", tmp_path)
    assert (done.returncode, done.stderr) == (2, "Error: expected clips, got none (here)\n")


@pytest.mark.heavy
def test_avssl_debug_shows_the_traceback_of_an_input_error(tmp_path):
    done = run_plugin("Refuses", tmp_path, AVSSL_DEBUG="1")
    assert done.returncode == 1
    assert "in fit" in done.stderr


def test_torch_and_numpy_errors_are_no_input_errors():
    with pytest.raises(Exception) as caught:  # noqa: PT011
        np.ones(2) @ np.ones(3)
    assert not is_input_error(caught.value)
    with pytest.raises(RuntimeError) as of_torch:
        torch.ones(2).reshape(3)
    assert not is_input_error(of_torch.value)
