import json
import os

import pytest

from avssl.errors import InputError
from avssl.io.jsonl_journal import MAX_JOURNAL, JsonlJournal, read_journal

SETTINGS = {"rate": 2.0, "size": (64, 32)}


def parsed(entry):
    return {"key": entry["key"], "value": int(entry["value"])}


def opened(path, settings=SETTINGS):
    return JsonlJournal(path, settings, parsed, advice="delete it")


@pytest.fixture
def path(tmp_path):
    with opened(tmp_path / "a.jsonl") as journal:
        for number, key in enumerate("aba"):
            journal.add({"key": key, "value": number})
    return tmp_path / "a.jsonl"


def values(path, settings=SETTINGS):
    with opened(path, settings) as journal:
        return {key: entry["value"] for key, entry in journal.entries.items()}


def test_the_last_line_of_a_key_counts(path):
    assert values(path) == {"a": 2, "b": 1}
    assert json.loads(path.read_text().splitlines()[0]) == {"settings": {"rate": 2.0, "size": [64, 32]}}
    assert read_journal(path, dict)[0] == {"rate": 2.0, "size": [64, 32]}


def test_every_cut_keeps_whole_lines_and_goes_on(path):
    data = path.read_bytes()
    for size in range(data.index(b"\n") + 1, len(data)):
        path.write_bytes(data[:size])
        whole = [json.loads(line) for line in data[:size].decode().split("\n")[1:] if line.endswith("}")]
        expected = {entry["key"]: entry["value"] for entry in whole}
        with opened(path) as journal:
            assert {key: entry["value"] for key, entry in journal.entries.items()} == expected
            journal.add({"key": "new", "value": 7})
        assert values(path) == expected | {"new": 7}


@pytest.mark.parametrize(
    "line", [b"[1]", b"7", b"\xff\xfe", b'{"key": "b"}', b'{"value": 3}', b'{"key": "b", "value": "x"}']
)
def test_lines_of_another_kind_are_passed_over(path, line):
    with path.open("ab") as file:
        file.write(line + b"\n")
    assert values(path) == {"a": 2, "b": 1}


@pytest.mark.parametrize("header", [b"", b"{", b"[]", b'{"settings": 1}', b"\xff"])
def test_a_journal_without_a_header_is_begun_anew(path, header):
    path.write_bytes(header + b'\n{"key": "b", "value": 1}\n')
    assert read_journal(path, dict)[0] is None
    with opened(path) as journal:
        assert not journal.entries
        journal.add({"key": "c", "value": 3})
    assert values(path) == {"c": 3}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 4.0, "size": (64, 32)}, "expected rate 2.0, which it was written with, got 4.0; delete it"),
        ({"rate": 2.0}, r"expected size \[64, 32\], which it was written with, got None"),
        (SETTINGS | {"more": 1}, "expected more None, which it was written with, got 1"),
    ],
)
def test_other_settings_are_refused_whichever_side_has_them(path, settings, message):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"a\.jsonl: {message}"), opened(path, settings):
        pass
    assert path.read_bytes() == before
    assert values(path) == {"a": 2, "b": 1}


def test_without_entries_it_belongs_to_nobody_and_goes(tmp_path):
    with opened(tmp_path / "a.jsonl"):
        assert (tmp_path / "a.jsonl").is_file()
    assert not list(tmp_path.iterdir())
    (tmp_path / "a.jsonl").write_text('{"settings": {"rate": 9}}\n')  # of a run that was killed
    with opened(tmp_path / "a.jsonl") as journal:
        journal.add({"key": "a", "value": 1})
    assert read_journal(tmp_path / "a.jsonl", dict)[0]["rate"] == 2.0


def test_a_journal_that_is_no_file_is_named_without_a_wait(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")
    for use in (lambda: opened(tmp_path / "a.jsonl").__enter__(), lambda: read_journal(tmp_path / "a.jsonl", parsed)):
        with pytest.raises(InputError, match=r"a\.jsonl: expected a journal in a regular file, got a named pipe"):
            use()


def test_a_journal_over_the_bound_is_refused_unread(tmp_path):
    with (tmp_path / "a.jsonl").open("wb") as file:
        file.truncate(MAX_JOURNAL + 1)
    for use in (lambda: opened(tmp_path / "a.jsonl").__enter__(), lambda: read_journal(tmp_path / "a.jsonl", parsed)):
        with pytest.raises(InputError, match=r"a\.jsonl: expected a journal of 1024 MiB at most, got 1024\.0 MiB"):
            use()


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"key": []}', '{"key": "b", "value": []}', '{"key": "b", "value": NaN}']
)
def test_lines_that_are_no_entries_are_passed_over(path, line):
    with path.open("a") as file:
        file.write(line + "\n")
    assert values(path) == {"a": 2, "b": 1}
