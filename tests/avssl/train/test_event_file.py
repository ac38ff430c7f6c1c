import resource
import threading
from contextlib import contextmanager

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avssl.errors import OutputError
from avssl.train import checkpoint
from avssl.train.event_file import EventFile


@contextmanager
def file_size_limit(size):
    """As `ulimit -f`: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill(file):
    for step in range(1000):
        file.add_scalar("loss", step, step)


def read(folder):
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "audio": 0}).Reload()


def test_what_is_written_is_there_before_the_file_is_closed(tmp_path):
    file = EventFile(tmp_path / "new", 1)
    file.add_scalar("loss", 0.1, 3)
    file.add_image("view", torch.full((3, 4, 6), 255, dtype=torch.uint8), 3)
    file.add_audio("audio", torch.linspace(-1, 1, 480)[None], 3, 8000)
    found = read(tmp_path / "new")
    [event] = found.Scalars("loss")
    assert (event.step, event.value) == (3, pytest.approx(0.1))
    assert (found.Images("view")[0].width, found.Images("view")[0].height) == (6, 4)
    assert (found.Audio("audio")[0].sample_rate, found.Audio("audio")[0].length_frames) == (8000, 480)
    file.close()


def test_events_from_the_first_step_of_a_later_file_on_are_dropped(tmp_path):
    for first, steps in ((1, (4, 8, 12)), (9, (10,)), (10, (10, 14))):
        file = EventFile(tmp_path, first)
        for step in steps:
            file.add_scalar("loss", first, step)
        file.close()
    found = [(event.step, event.value) for event in read(tmp_path).Scalars("loss")]
    assert found == [(4, 1), (8, 1), (10, 10), (14, 10)]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_limit_of_the_file_size_is_one_line_and_earlier_events_stay(tmp_path):
    file = EventFile(tmp_path, 1)
    with file_size_limit(4096), pytest.raises(OutputError, match="cannot be written: File too large; ") as caught:
        fill(file)
    assert str(caught.value).startswith(str(file.path))
    file.close()
    assert len(read(tmp_path).Scalars("loss")) > 20
    assert file.path.stat().st_size == 4096


def test_a_run_that_cannot_write_its_events_keeps_its_state_and_goes_on(tiny, tmp_path, monkeypatch):
    settings = {"steps": 120, "log_every": 1, "save_every": 50}
    tiny.train(tmp_path / "whole", **settings)
    size = (tmp_path / "whole" / checkpoint.LAST).stat().st_size
    threads = threading.active_count()
    with file_size_limit(size + 8000), pytest.raises(OutputError, match="File too large; the last checkpoint stays"):
        tiny.train(tmp_path / "parts", **settings)
    assert threading.active_count() == threads
    assert 0 < checkpoint.load(tmp_path / "parts" / checkpoint.LAST)["run"]["step"] < 120
    tiny.train(tmp_path / "parts", **settings)
    one, other = (checkpoint.load(tmp_path / name / checkpoint.LAST)["run"]["curve"] for name in ("whole", "parts"))
    assert one == other
    steps = [event.step for event in read(tmp_path / "parts").Scalars("loss")]
    assert steps == list(range(1, 121))
