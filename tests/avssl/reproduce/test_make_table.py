"""Runs of a table: made once, in order, continued after a stop; its rows, floors and published numbers."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from avssl.errors import InputError
from avssl.io.folder_lock import folder_lock
from avssl.reproduce.make_table import make_table
from avssl.reproduce.run_note import NOTE, RunNote, noted, read_note
from avssl.reproduce.run_times import Duration, RunTimes


def test_every_run_is_made_once_and_a_second_call_makes_none(table):
    first = make_table(table)
    assert [run.made for run in table.all.values()] == [1] * 6
    assert make_table(table) == first
    assert [run.made for run in table.all.values()] == [1] * 6


def test_a_dry_run_tells_the_runs_and_writes_nothing(table):
    plan = make_table(table, dry_run=True).splitlines()
    assert plan[0] == "counting: 6 runs, 0 complete, 6 to make"
    assert [line.strip() for line in plan[1:4]] == [
        f"{kind}: 2 to make (seed 0, 1)" for kind in ("untrained", "first", "second")
    ]
    assert not table.folder.exists()
    table.all["first", 0].make()
    plan = make_table(table, dry_run=True).splitlines()
    assert plan[0] == "counting: 6 runs, 1 complete, 5 to make"
    assert plan[2].startswith("  first: 1 complete (seed 0); 1 to make (seed 1)")


def test_a_stopped_table_goes_on_where_it_stopped(table):
    stopped = table.all["first", 1]
    stopped.stops = [SystemExit(0)]
    with pytest.raises(SystemExit) as ended:
        make_table(table)
    assert ended.value.code == 0
    assert [run.made for run in table.all.values()] == [1, 1, 1, 1, 0, 0]
    assert not (table.folder / "counting").exists()
    make_table(table)
    assert [run.made for run in table.all.values()] == [1, 1, 1, 2, 1, 1]


def test_chance_and_untrained_rows_come_first_and_seeds_are_one_row(table):
    text = make_table(table)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == ["task", "run", "seeds", "probe %", "paper"]
    named = [row for row in rows[2:] if row[1] != "difference"]
    assert [row[:3] for row in named] == [
        ["floor", "chance", "1"], ["floor", "untrained", "2"], ["avsa", "first", "2"], ["avsa", "second", "2"],
    ]  # fmt: skip
    assert named[0][3] == "12.5"
    assert named[2][3].startswith("50.5 ± 0.7")
    assert [row[4] for row in named] == ["", "", "", "90.0"]
    assert "Chance is 12.5 % for probe." in text


def test_the_finished_table_and_its_figure_lie_beside_the_runs(table):
    text = make_table(table)
    folder = table.folder / "counting"
    assert (folder / "report.md").read_text().startswith(text)
    assert (folder / "report.png").stat().st_size > 1000
    found = {(row["row"], row["seed"]): row for row in csv.DictReader((folder / "runs.csv").open())}
    assert float(found["second", "1"]["accuracy_probe"]) == 0.71
    assert float(found["chance", "0"]["accuracy_probe"]) == 0.125


def test_a_folder_of_other_settings_is_refused_before_any_run(table):
    run = table.all["second", 1]
    run.make()
    run.score = 0.3
    with pytest.raises(InputError, match=r"second-1: belongs to another run \(score was 0.71, is 0.3\)"):
        make_table(table)
    assert [each.made for each in table.all.values()] == [0, 0, 0, 0, 0, 1]


def test_a_folder_that_another_command_holds_is_refused(table, monkeypatch):
    monkeypatch.setattr("threading.get_ident", lambda: 1)
    with folder_lock(table.all["untrained", 0].folder):
        monkeypatch.setattr("threading.get_ident", lambda: 2)
        with pytest.raises(InputError, match="expected a place where no other command writes"):
            make_table(table)


def test_a_run_that_wrote_nothing_leaves_no_folder(table):
    table.all["untrained", 0].stops = [InputError("clip 3 is broken")]
    with pytest.raises(InputError, match="clip 3"):
        make_table(table)
    assert not table.folder.exists()


def test_the_seconds_of_all_sessions_are_added(tmp_path, monkeypatch):
    now = iter([0.0, 5.0, 100.0, 107.0])
    monkeypatch.setattr("avssl.reproduce.run_note.time", SimpleNamespace(monotonic=lambda: next(now)))

    def session(error=None):
        with noted(tmp_path / "run", {"a": 1}):
            (tmp_path / "run" / "last.ckpt").touch()
            if error:
                raise error

    with pytest.raises(KeyboardInterrupt):
        session(KeyboardInterrupt())
    assert (read_note(tmp_path / "run").seconds, read_note(tmp_path / "run").complete) == (5.0, False)
    session()
    assert (read_note(tmp_path / "run").seconds, read_note(tmp_path / "run").complete) == (12.0, True)


def test_settings_that_a_note_of_another_version_lacks_are_not_compared(tmp_path):
    note = RunNote({"options": {"epochs": 3, "gone": 1}})
    note.check(tmp_path, {"options": {"epochs": 3, "new": 2}})
    with pytest.raises(InputError, match=r"options.epochs was 3, is 4"):
        note.check(tmp_path, {"options": {"epochs": 4, "new": 2}})


@pytest.mark.parametrize("text", ["{", "[]", '{"seconds": 1}', '{"settings": 3, "seconds": "x", "complete": true}'])
def test_a_spoiled_note_is_one_line(tmp_path, text):
    (tmp_path / NOTE).write_text(text)
    with pytest.raises(InputError, match=NOTE):
        read_note(tmp_path)


def _finished(run, seconds):
    run.make()
    path: Path = run.folder / NOTE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": seconds}))


def test_time_left_is_that_of_finished_runs_of_the_kind(table):
    for seed, seconds in ((0, 80.0), (1, 120.0)):
        _finished(table.all["first", seed], seconds)
    runs = list(table.all.values())
    runs[3].is_complete = lambda: False  # its second seed was stopped after 120 s
    assert RunTimes(runs).of(runs[2]) == Duration()
    assert RunTimes(runs).of(runs[3]) == Duration()
    runs[3].folder = runs[3].folder.with_name("first-2")  # not begun
    left = RunTimes(runs).of(runs[3])
    assert (left.low, left.high) == pytest.approx((0.8 * 80, 1.25 * 80))


def test_time_of_unknown_kinds_is_that_of_their_passes(table, monkeypatch):
    seconds = {"untrained": 0.0, "first": 10.0, "second": 30.0}
    monkeypatch.setattr("avssl.reproduce.run_times.passes_seconds", lambda run: seconds[run.kind])
    runs = list(table.all.values())
    total = RunTimes(runs).total(runs)
    assert (total.low, total.high) == pytest.approx((80, 240))
    _finished(table.all["first", 0], 20.0)  # twice its passes
    times = RunTimes(runs)
    second = times.of(table.all["second", 0])
    assert (second.low, second.high) == pytest.approx((0.6 * 2 * 30, 1.6 * 2 * 30))
    assert "finished runs of 1 kinds" in times.source(runs)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0, 0, "0 s"), (20, 45, "20 to 45 s"), (90, 240, "2 to 4 min"), (7200, 18000, "2.0 to 5.0 h"),
     (86400, 259200, "1.0 to 3.0 days")],
)  # fmt: skip
def test_durations_are_in_one_unit(low, high, text):
    assert str(Duration(low, high)) == text
