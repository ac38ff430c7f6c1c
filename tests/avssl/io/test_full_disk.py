"""Files that cannot be written to their end: one line with the path, an error number, and nothing half-written."""

import errno
import json
import resource
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import errno, json, resource, sys
    from pathlib import Path
    import numpy as np, pyarrow as pa, pyarrow.parquet as pq, torch
    from safetensors.torch import save_file
    from avssl.embedding.table_writer import embedding_table
    from avssl.io.atomic import durably_replacing, replacing
    from avssl.io.jsonl_journal import JsonlJournal
    from avssl.media import write_audio, write_avi, write_video

    folder = Path(sys.argv[1])
    numbers = torch.randn(100_000)
    frames = [np.random.default_rng(0).integers(0, 255, (128, 256, 3), np.uint8) for _ in range(30)]

    def body(write):
        def run(path):
            with replacing(path) as part:
                write(part)
        return run

    def journal(path):
        with JsonlJournal(path, {}, dict, advice="") as found:
            for number in range(10_000):
                found.add({"key": f"{number:09}"})

    def table(path):
        with embedding_table(path, 1.0) as add:
            for number in range(40):
                add(str(number), [0.0], "audio", numbers[None, 2000 * number : 2000 * number + 2000])

    def checkpoint(path):
        with durably_replacing(path) as part:
            torch.save({"a": numbers}, part)

    WRITERS = {
        "a.safetensors": body(lambda part: save_file({"a": numbers}, part)),
        "a.pt": checkpoint,
        "a.parquet": body(lambda part: pq.write_table(pa.table({"a": numbers.numpy()}), part)),
        "a.npy": body(lambda part: np.save(part, numbers.numpy())),
        "a.txt": body(lambda part: part.write_text("a" * 200_000)),
        "a.wav": lambda path: write_audio(path, torch.rand(4, 50_000) - 0.5, 24_000),
        "a.mp4": lambda path: write_video(path, frames, 16.0),
        "a.avi": lambda path: write_avi(path, frames, 16.0, np.zeros((2, 24_000), np.float32), 24_000),
        "b.parquet": table,
        "b.npz": table,
        "a.jsonl": journal,
    }
    for name, write in WRITERS.items():
        if name != "a.jsonl":
            (folder / name).write_bytes(b"as before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    said = {}
    for name, write in WRITERS.items():
        try:
            write(folder / name)
        except Exception as error:
            said[name] = [type(error).__name__, str(error), error.errno]
    print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Folder of the files, and for each its error."""
    folder = tmp_path_factory.mktemp("full")
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder)], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return folder, json.loads(run.stdout)


NAMES = [
    "a.safetensors", "a.pt", "a.parquet", "a.npy", "a.txt", "a.wav", "a.mp4", "a.avi", "b.parquet", "b.npz", "a.jsonl",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_each_kind_of_file_is_one_line_with_its_path(said, name):
    folder, errors = said
    kind, message, number = errors[name]
    assert kind == "OutputError"
    assert message.startswith(f"{folder / name}: cannot be written")
    assert "\n" not in message
    if name not in ("a.safetensors", "a.pt", "a.npy"):  # their libraries do not pass it on
        assert number == errno.EFBIG
        assert message == f"{folder / name}: cannot be written: File too large"


def test_files_are_as_before_and_nothing_else_is_left(said):
    folder, _ = said
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    assert all((folder / name).read_bytes() == b"as before" for name in NAMES if name != "a.jsonl")
    lines = (folder / "a.jsonl").read_text().splitlines()
    assert json.loads(lines[-2])["key"] == f"{len(lines) - 3:09}"  # whole up to the last line


def test_the_limit_is_of_that_process_alone():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
