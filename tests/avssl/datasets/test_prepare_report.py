"""The report of `avssl prepare`: for programs, and for people."""

import json
import math

import pyarrow.parquet as pq
import pytest

from avssl.datasets.manifest import Row
from avssl.datasets.prepare_report import Failure, PrepareReport
from avssl.printable_text import printable


def row(key, **facts):
    known = {
        "split": "train",
        "video": "v.mp4",
        "audio": "s.wav",
        "start": 0.0,
        "seconds": 1800.0,
        "frame_rate": 16.0,
        "width": 448,
        "height": 224,
        "sample_rate": 24000,
        "layout": "ambix",
        "silent_channels": "",
        "azimuth": 90.0,
        "elevation": -10.0,
        "diffuseness": 0.5,
        "source": "s",
    }
    return Row(key=key, **(known | facts))


@pytest.fixture
def report(tmp_path):
    rows = [
        row("a"),
        row("b", layout="wyx", silent_channels="Z", azimuth=math.nan, elevation=math.nan, diffuseness=1.0),
        row("c[red]"),
    ]
    return PrepareReport(tmp_path, rows, [Failure("d", "/x/d[1].mp4", "no sound")], 2, {"ids": ["x", "y"], "audio": []})


def test_counts_add_up(report):
    report.write()
    found = json.loads((report.out / "report.json").read_text())
    totals = {
        name: found[name] for name in ("clips", "hours", "done", "skipped", "failed", "layouts", "silent_channels")
    }
    assert totals == {
        "clips": 3,
        "hours": 1.5,
        "done": 1,
        "skipped": 2,
        "failed": 1,
        "layouts": {"ambix": 2, "wyx": 1},
        "silent_channels": {"Z": 1},
    }
    assert found["missing"]["ids"] == {"count": 2, "names": ["x", "y"]}
    assert (found["rows"][0]["azimuth"], found["rows"][1]["azimuth"]) == (90.0, None)


def test_failures_are_a_table_of_their_own_even_when_there_are_none(report, tmp_path):
    report.write()
    (failed,) = pq.read_table(report.out / "failed.parquet").to_pylist()
    assert failed == {"key": "d", "source": "/x/d[1].mp4", "reason": "no sound"}
    PrepareReport(tmp_path, report.rows, [], 0).write()
    assert pq.read_table(tmp_path / "failed.parquet").column_names == ["key", "source", "reason"]


def test_the_screen_shows_what_the_files_hold(report, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = report.text()
    for text in (
        "3 (1 new, 2 from before)",
        "1.500",
        "ambix: 2, wyx: 1",
        "Z: 1",
        "c[red]",
        "-10.0",
        "/x/d[1].mp4",
        "no sound",
    ):
        assert text in shown
    assert "missing ids" in shown


def test_any_path_can_be_printed():
    assert printable("caf\udce9.mp4") == "caf\\xe9.mp4"
