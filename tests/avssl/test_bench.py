"""Benchmarks: both sides give the same result before either is timed; no time is asserted."""

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from click.testing import CliRunner

from avssl.bench.bench_report import BenchReport
from avssl.bench.case import Absent, Case, Quantity, Size, brightness, largest
from avssl.bench.decode_cases import TOLERANCE, frame_cases, plain_frames, write_source
from avssl.bench.machine_facts import load_warning, machine, machine_line
from avssl.bench.peak_memory import peak_bytes
from avssl.bench.peers import with_library
from avssl.bench.suite import CASES, all_cases, bench
from avssl.bench.timing import Measured, Timing, measure, threads, time_case
from avssl.cli import main
from avssl.cli.main import BENCHMARKS
from avssl.media import probe, read_frames

TINY = Size(
    height=64, views=2, side=24, frames=3, clips=2, samples=4800, batch=12, large_batch=24, largest_batch=40, width=8,
    tower_clips=1, full_clips=0, steps=1, detector_height=64, source_height=128, video_seconds=1.0, audio_seconds=4.0,
    scenes=4, processes=False,
)  # fmt: skip
ROWS = {
    "frames": 7, "audio": 7, "crops": 3, "sample": 6, "load": 1, "packed": 2, "rotation": 1, "logmel": 1, "features": 3,
    "intensity": 1, "binaural": 1, "room": 1, "flow": 2, "tower": 1, "infonce": 8, "alignment": 4, "sigmoid": 4,
    "step": 1, "step-small": 6, "step-full": 1, "detector": 1, "embed": 2, "prepare": 1, "synth": 1, "startup": 1,
}  # fmt: skip
ROWS["logmel"] += find_spec("librosa") is not None
DOCUMENT = "# Speed\n\n<!-- avssl report bench -->\nold\n<!-- end of report bench -->\n\nThe end.\n"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Report of all rows but those of plug-ins at small sizes, and the folder of its files."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "benchmarks.md").write_text(DOCUMENT)
    outputs = {"figure": folder / "bench.svg", "into": folder / "benchmarks.md"}
    return bench(list(CASES), repeats=1, count=1, size=TINY, target=folder / "bench.json", **outputs), folder


def test_ours_and_the_peers_agree(measured):
    report, _ = measured
    assert [each.reason for each in report.absent if each.failed] == []
    assert len(report.rows) == sum(ROWS.values())
    assert all(each.difference <= 0.5 for each in report.timings)


def test_generators_on_a_stream_agree_with_several_windows_at_once(tmp_path):
    cases = all_cases()["spatialize"](TINY, tmp_path)
    assert len(cases) == 6
    for case in cases:
        assert case.difference() <= case.tolerance


def test_every_row_has_a_number_or_a_reason(measured):
    report, _ = measured
    printed = report.text(300)
    for row in report.rows:
        assert f" {row.name} " in printed
        assert isinstance(row, Absent) or row.work in printed or isinstance(row, Timing)
    for timing in report.timings:
        assert timing.peer_name in printed
        assert timing.ours_ms > 0
    assert all(each.reason in printed for each in report.absent)
    assert all(each.value > 0 for each in report.measured if each.name != "step-small: everything else")
    assert printed.endswith("; medians of 1")


def test_files_of_a_benchmark_have_its_rows(measured):
    report, folder = measured
    written = json.loads((folder / "bench.json").read_text())
    assert [row["peer_name"] for row in written["timings"]] == [timing.peer_name for timing in report.timings]
    assert [row["value"] for row in written["measured"]] == [each.value for each in report.measured]
    assert [row["reason"] for row in written["absent"]] == [each.reason for each in report.absent]
    assert written["machine"]["threads"] == 1
    document = (folder / "benchmarks.md").read_text()
    assert document.startswith("# Speed\n\n<!-- avssl report bench -->\n\n| row | one run |")
    assert document.endswith(".\n\n<!-- end of report bench -->\n\nThe end.\n")
    assert document.count("\n| crops |") == 2
    assert (folder / "bench.svg").read_text().count("rotation / numpy einsum a clip") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["bench.json", "bench.svg", "benchmarks.md"]


def test_parts_of_a_step_add_up_to_the_whole(measured):
    parts = {each.name: each.value for each in measured[0].measured if each.name.startswith("step-small")}
    whole = parts.pop("step-small: whole step")
    assert sum(parts.values()) == pytest.approx(whole)
    assert parts["step-small: backward"] > parts["step-small: optimiser"]


def test_names_on_the_command_line_are_those_of_the_groups():
    assert tuple(all_cases()) == BENCHMARKS


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


def test_table_shows_aims_and_memory():
    behind = Timing("a", "theirs", [2.0], [3.0], 0.0, work="1 clip", aim=4.0, ours_mb=1.0, peer_mb=20.0)
    behind = replace(behind, ours_cpu=[2.0], peer_cpu=[5.0])
    reached, without = replace(behind, name="b", peer=[9.0]), replace(behind, name="c", aim=0.0)
    missing = Absent("d", "other", "not installed: pip install other")
    lines = BenchReport(machine(), [behind, reached, without, missing], 1).markdown().splitlines()
    assert lines[2] == "| a | 1 clip | 2.00 | theirs | 3.00 | 1.50 | 2.50 | 4 | no | 1, 20 |"
    assert lines[3] == "| b | 1 clip | 2.00 | theirs | 9.00 | 4.50 | 2.50 | 4 | yes | 1, 20 |"
    assert lines[4] == "| c | 1 clip | 2.00 | theirs | 3.00 | 1.50 | 2.50 |  |  | 1, 20 |"
    assert lines[5] == "| d | not installed: pip install other |  | other |  |  |  |  |  |  |"


def test_processor_times_decide_on_a_busy_machine():
    quiet = Timing("a", "theirs", [2.0], [9.0], 0.0, aim=4.0, ours_cpu=[2.0], peer_cpu=[5.0])
    busy = replace(quiet, busy=True)
    assert (quiet.deciding_ratio, quiet.reached, busy.deciding_ratio, busy.reached) == (4.5, True, 2.5, False)


def test_rows_that_disagree_are_listed_and_the_others_measured(monkeypatch):
    one = torch.ones(3)
    peers = [lambda: (2 * one,), lambda: (one,)]
    rows = [Case("sums", "theirs", lambda: (one,), peer, 0.1, largest) for peer in peers]
    monkeypatch.setitem(CASES, "crops", lambda size, folder: rows)
    result = CliRunner().invoke(main, ["bench", "--only", "crops", "--repeats", "1"])
    assert result.exit_code == 1
    assert result.stdout.count(" sums ") == 2
    assert "results disagree" in result.stdout


def test_ctrl_c_leaves_files_as_they_were(tmp_path, monkeypatch):
    def interrupted(size, folder):
        (folder / "source.mp4").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setitem(CASES, "crops", interrupted)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    (tmp_path / "benchmarks.md").write_text(DOCUMENT)
    with pytest.raises(KeyboardInterrupt):
        bench(["crops"], target=tmp_path / "bench.json", figure=tmp_path / "a.png", into=tmp_path / "benchmarks.md")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["benchmarks.md", "scratch"]
    assert (tmp_path / "benchmarks.md").read_text() == DOCUMENT
    assert not list((tmp_path / "scratch").iterdir())


def test_missing_library_is_a_row_with_what_to_install():
    rows = with_library("row", "no_such_library.part", "the library", lambda module: [])
    assert rows == [Absent("row", "the library", "not installed: pip install no_such_library")]


def test_quantities_are_medians_of_their_parts():
    values = iter([3.0, 1.0, 2.0])
    quantity = Quantity("rate", lambda: {"": next(values)}, "scenes/s", "4 scenes", repeats=3)
    assert measure(quantity, 15) == [Measured("rate", [3.0, 1.0, 2.0], "scenes/s", "4 scenes")]
    assert Measured("rate", [3.0, 1.0, 2.0], "").value == 2.0


def test_slow_rows_are_repeated_three_times(monkeypatch):
    monkeypatch.setattr("avssl.bench.timing.BUDGET", 0.0)
    case = Case("slow", "theirs", lambda: (torch.ones(1),), lambda: (torch.ones(1),), 0.0, largest)
    assert len(time_case(case, 15).ours) == 3


def test_peak_memory_counts_tensors_that_live_together():
    x = torch.ones(1000, 1000)

    def work():
        y = x + 1
        z = y * 2  # two of 4 MB
        del y
        return (z + x).sum()

    assert peak_bytes(work) == pytest.approx(8e6, rel=1e-4)


def test_busy_machine_is_a_warning():
    facts = machine() | {"threads": 2, "load": 2.0}
    assert load_warning(facts) == ""
    assert load_warning(facts | {"load": 2.1}).startswith("load average 2.1 before anything is timed, with 2 threads")


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
        (["--figure", "nowhere/bench.png"], "nowhere/bench.png"),
        (["--figure", "bench.doc"], "expected a figure .png, .pdf, .svg, got .doc"),
        (["--into", "nothing.md"], "nothing.md"),
    ],
)
def test_bad_options_are_errors_before_anything_is_timed(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["bench", *arguments])
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert result.output.strip().count("\n") == 0
