"""Recordings that clips were prepared from: found by path, name, size and time of change, never another film."""

import json
import os

import pytest

from avssl.datasets.dataset import Recording
from avssl.datasets.manifest import Manifest, Row
from avssl.datasets.prepare_journal import fingerprint
from avssl.detection.frame_source import Recordings, lost_recordings
from avssl.printable_text import printable


def clip(key, source):
    return Row(key, "", f"{key}.mp4", f"{key}.wav", 0, 1, 4, 64, 32, 8000, "ambix", "", 0, 0, 0, str(source))


@pytest.fixture
def prepared(tmp_path):
    """Writes films below a root named clips, and the journal of their preparation; gives the manifest's rows."""
    root, out = tmp_path / "clips", tmp_path / "out"
    out.mkdir()

    def write(*films):
        rows, lines = [], [{"settings": {"root": str(root)}}]
        for number, name in enumerate(films):
            path = root / os.fsdecode(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * (number + 10))
            row = clip(f"c{number}", printable(f"clips/{os.fsdecode(name)}"))
            rows.append(row)
            source = fingerprint(root, Recording(row.key, os.fsdecode(name), os.fsdecode(name)))
            lines.append({"key": row.key, "source": source, "written": [], "row": {}})
        (out / "prepared.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
        return root, out, rows

    return write


@pytest.mark.parametrize("films", [("a.mp4", "clips/a.mp4"), ("clips/a.mp4", "a.mp4"), ("x/a.mp4", "clips/x/a.mp4")])
def test_a_folder_named_as_its_root_does_not_hide_the_film(prepared, films):
    root, out, rows = prepared(*films)
    found = Recordings(out)
    assert [found.find(row) for row in rows] == [root / name for name in films]


def test_films_of_one_size_are_told_apart_by_their_time(prepared):
    root, out, rows = prepared("a.mp4", "clips/a.mp4")
    (root / "clips" / "a.mp4").write_bytes(b"y" * 10)  # as long as the other one
    assert Recordings(out).find(rows[0]) == root / "a.mp4"


def test_a_lost_film_is_not_replaced_by_another_of_its_name(prepared):
    root, out, rows = prepared("a.mp4", "clips/a.mp4")
    (root / "a.mp4").unlink()
    assert Recordings(out).find(rows[0]) is None
    assert lost_recordings(Manifest(tuple(rows), out)) == 1


def test_a_copied_film_is_found_though_its_time_is_another(prepared):
    root, out, rows = prepared("a.mp4")
    os.utime(root / "a.mp4", (0, 0))
    assert Recordings(out).find(rows[0]) == root / "a.mp4"


def test_a_film_whose_name_is_not_utf8_is_found(prepared):
    root, out, rows = prepared(b"caf\xe9/n\xfft.mp4")
    assert Recordings(out).find(rows[0]) == root / os.fsdecode(b"caf\xe9/n\xfft.mp4")


@pytest.mark.parametrize("source", ["../outside.mp4", "clips/../../outside.mp4", "{outside}", "..\\outside.mp4"])
def test_a_source_never_leads_out_of_the_root(prepared, tmp_path, source):
    _, out, _ = prepared("a.mp4")
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(b"x" * 10)
    assert Recordings(out).find(clip("other", source.format(outside=outside))) is None


def test_a_pipe_is_no_recording(prepared):
    root, out, rows = prepared("a.mp4")
    (root / "a.mp4").unlink()
    os.mkfifo(root / "a.mp4")
    assert Recordings(out).find(rows[0]) is None


@pytest.mark.parametrize("line", ['{"key": "c0", "source": []}', '{"key": "c0", "source": [[1]]}', "[" * 100_000, "{"])
def test_broken_lines_of_the_journal_are_passed_over(prepared, line):
    root, out, rows = prepared("a.mp4")
    with (out / "prepared.jsonl").open("a") as file:
        file.write(line + "\n")
    assert Recordings(out).find(rows[0]) == root / "a.mp4"
