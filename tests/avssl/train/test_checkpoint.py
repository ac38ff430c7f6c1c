import os
import pickle
import random
import re
import resource
import subprocess
import sys

import pytest
import torch
from torch import nn

from avssl.train import checkpoint

STATE = {"run": {"step": 3}, "task": {"weight": torch.ones(3)}, "optimizer": {}}


def test_what_is_saved_comes_back(tmp_path):
    checkpoint.save(tmp_path / "last.ckpt", STATE)
    assert torch.equal(checkpoint.load(tmp_path / "last.ckpt")["task"]["weight"], torch.ones(3))
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_of_another_format_is_one_line_that_says_so(tmp_path):
    path = tmp_path / "last.ckpt"
    for found, message in (
        (None, "an older avssl (format 1, expected 2)"),
        (3, "a newer avssl (format 3, expected 2)"),
    ):
        torch.save(STATE if found is None else {"format": found, **STATE}, path)
        with pytest.raises(ValueError, match=re.escape(f"{path}: made by {message}")):
            checkpoint.load(path)


@pytest.mark.heavy
def test_a_full_disk_leaves_the_checkpoint_before_and_no_rubbish(tmp_path):
    """A limit on the size of files stands for the disk."""
    path = tmp_path / "last.ckpt"
    checkpoint.save(path, STATE)
    before = path.read_bytes()
    program = (
        "import sys, torch; from pathlib import Path; from avssl.train import checkpoint\n"
        "checkpoint.save(Path(sys.argv[1]), {'task': torch.zeros(100_000), 'run': {}, 'optimizer': {}})"
    )
    limit = 50_000
    done = subprocess.run(
        [sys.executable, "-B", "-c", program, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
    )
    assert "OutputError" in done.stderr
    assert f"{path}: cannot be written (is the disk full?)" in done.stderr
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("spoiled", [b"", b"not a checkpoint", None])
def test_a_broken_file_is_named(tmp_path, spoiled):
    path = tmp_path / "last.ckpt"
    checkpoint.save(path, STATE)
    path.write_bytes(path.read_bytes()[:-200] if spoiled is None else spoiled)
    with pytest.raises(ValueError, match="last.ckpt: expected a checkpoint"):
        checkpoint.load(path)


def test_code_in_a_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    path = tmp_path / "last.ckpt"
    torch.save({**STATE, "extra": Evil()}, path)
    with pytest.raises(ValueError, match="expected a checkpoint"):
        checkpoint.load(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="expected a checkpoint"):
        checkpoint.load(path)
    assert not (tmp_path / "evil").exists()


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    checkpoint.save(path, {**STATE, "task": nn.Linear(3, 3).state_dict()})
    with pytest.raises(ValueError, match="another network"):
        checkpoint.restore(path, nn.Linear(4, 4))


def test_random_bytes_are_not_a_checkpoint(tmp_path):
    """Behind the first bytes of a pickle, so that its opcodes are reached."""
    path, generator = tmp_path / "last.ckpt", random.Random(0)
    for size in range(200):
        path.write_bytes(b"\x80\x02" + generator.randbytes(size))
        with pytest.raises(ValueError, match="last.ckpt: expected a checkpoint"):
            checkpoint.load(path)
