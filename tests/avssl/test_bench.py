"""Benchmarks: both sides give the same result before either is timed; no time is asserted."""

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from click.testing import CliRunner

from avssl.bench.bench_report import BenchReport, machine, machine_line
from avssl.bench.case import Case, Size, brightness, largest
from avssl.bench.decode_cases import TOLERANCE, frame_cases, plain_frames, write_source
from avssl.bench.suite import CASES, all_cases, bench
from avssl.bench.timing import threads, time_case
from avssl.cli import main
from avssl.media import probe, read_frames

TINY = Size(
    height=64, views=2, side=24, frames=3, clips=2, samples=4800, batch=12, width=8,
    detector_height=64, source_height=128, video_seconds=1.0, audio_seconds=4.0,
)  # fmt: skip
ROWS = {
    "crops": 1,
    "features": 2,
    "rotation": 1,
    "infonce": 3,
    "frames": 4,
    "audio": 1,
    "load": 1,
    "step": 1,
    "spatialize": 5,
}
ROWS["detector"] = int(find_spec("ultralytics") is not None)


@pytest.mark.parametrize("name", all_cases())
def test_ours_and_the_peers_agree(name, tmp_path):
    cases = all_cases()[name](TINY, tmp_path)
    assert len(cases) == ROWS[name]
    for case in cases:
        assert case.difference() <= case.tolerance


def test_results_that_differ_are_not_timed():
    one, calls = torch.ones(3), []

    def peer():
        calls.append(1)
        return (2 * one,)

    with pytest.raises(RuntimeError, match="sums: expected a difference of at most 0.1 to theirs, got 0.5"):
        time_case(Case("sums", "theirs", lambda: (one,), peer, 0.1, largest), repeats=3)
    assert len(calls) == 1


@pytest.mark.parametrize("theirs", [torch.full((3,), torch.nan), torch.ones(1, 3)])
def test_nan_or_another_shape_is_an_error(theirs):
    with pytest.raises(RuntimeError, match="sums"):
        Case("sums", "theirs", lambda: (torch.ones(3),), lambda: (theirs,), 0.1, largest).difference()


def test_sides_alternate():
    order = []

    def side(letter):
        return lambda: (order.append(letter), (torch.ones(1),))[1]

    timing = time_case(Case("order", "theirs", side("A"), side("B"), 0.0, largest), repeats=2)
    assert "".join(order) == "AB" * 3
    assert len(timing.ours) == len(timing.peer) == 2


def test_ratio_is_of_medians(tmp_path):
    timing = replace(time_case(CASES["audio"](TINY, tmp_path)[0], 1), ours=[1.0, 2.0, 30.0], peer=[4.0, 4.0, 1.0])
    assert (timing.ours_ms, timing.peer_ms, timing.ratio) == (2.0, 4.0, 2.0)


def test_speed_in_real_time_is_seconds_of_media_over_the_median():
    case = Case("play", "theirs", lambda: (torch.ones(1),), lambda: (torch.ones(1),), 0.0, largest, seconds=6.0)
    plain = replace(case, name="other", seconds=0.0)
    timings = [replace(time_case(each, 1), ours=[1500.0], peer=[3000.0]) for each in (case, plain)]
    assert [each.real_time for each in timings] == [4.0, 0.0]
    assert "x real time" in BenchReport(machine(), timings, 1).text(120)
    assert "x real time" not in BenchReport(machine(), timings[1:], 1).text(120)


def test_source_video_has_the_requested_format(tmp_path):
    write_source(tmp_path / "source.mp4", TINY)
    video = probe(tmp_path / "source.mp4").video
    assert (video.width, video.height, video.frame_rate) == (256, 128, 30)


def test_plain_loop_reads_the_same_frames_with_and_without_seeking(tmp_path):
    write_source(tmp_path / "source.mp4", replace(TINY, video_seconds=2.5))
    found = [plain_frames(tmp_path / "source.mp4", [1.8, 1.9, 9.0], (32, 64), seek) for seek in (False, True)]
    assert torch.equal(*found)


@pytest.mark.parametrize("late", [-1, 1])
def test_a_proxy_one_frame_off_exceeds_the_tolerance(late, tmp_path):
    frame_cases(TINY, tmp_path)
    times = [step / 16 for step in (10, 11, 12)]
    ours = read_frames(tmp_path / "proxy.mp4", [time + late / 16 for time in times])
    theirs = plain_frames(tmp_path / "source.mp4", times, (TINY.height, 2 * TINY.height), seek=True)
    assert brightness(ours.float(), theirs.float()) > TOLERANCE


def test_table_has_a_row_for_every_peer(tmp_path, caplog):
    caplog.set_level("INFO", "avssl")
    report = bench(repeats=1, count=1, size=TINY, target=tmp_path / "bench.json")
    timings, printed = report.timings, report.text(130)
    assert len(timings) == sum(ROWS.values())
    for timing in timings:
        assert f" {timing.name} " in printed
        assert timing.peer_name in printed
        assert f"{timing.name}: 1 times against {timing.peer_name}" in caplog.messages
    assert printed.endswith("; medians of 1")
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [row["peer_name"] for row in written["timings"]] == [timing.peer_name for timing in timings]
    assert written["machine"]["threads"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]


def test_machine_line_lists_tuning_variables(monkeypatch):
    for name in ("GLIBC_TUNABLES", "OMP_NUM_THREADS", "LD_PRELOAD"):
        monkeypatch.delenv(name, raising=False)
    facts = machine() | {"tuned": {}}
    assert "nothing tuned outside" in machine_line(facts)
    assert torch.__version__ in machine_line(facts)
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.top_pad=1")
    assert "GLIBC_TUNABLES=glibc.malloc.top_pad=1" in machine_line(machine())


def test_threads_are_restored():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "crop"], "did you mean 'crops'"),
        (["--repeats", "0"], "at least 1"),
        (["--threads", "0"], "at least 1"),
        (["--json", "nowhere/bench.json"], "nowhere/bench.json"),
    ],
)
def test_bad_options_are_errors_before_anything_is_timed(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["bench", *arguments])
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert result.output.strip().count("\n") == 0
