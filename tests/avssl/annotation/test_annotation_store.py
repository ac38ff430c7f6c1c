import json
import os
import signal
import subprocess
import sys

import pytest

from avssl.annotation.annotation_file import annotators, read_annotation_file
from avssl.annotation.annotation_store import AnnotationStore, read_annotations_of
from avssl.annotation.edit_journal import journal_path
from avssl.annotation.edits import Change, StaleEditError
from avssl.annotation.film_segments import KeyFrame, Segment
from avssl.errors import InputError, OutputError

DOG = Segment("d", "dog", 0.0, 2.0, (KeyFrame(0.0, (0.1, 0.1, 0.5, 0.5)),))
LATER = Segment("d", "dog", 0.5, 2.0)
CAT = Segment("c", "cat", 1.0, 4.0)


def _put(store, identifier, segment, before=None, film="a.mp4"):
    store.edit(identifier, Change(film, {segment.id: segment}), Change(film, {segment.id: before}))


def test_edits_are_in_the_file_after_leaving_and_the_journal_is_gone(tmp_path):
    with AnnotationStore(tmp_path, "eva") as store:
        _put(store, "1", DOG)
        _put(store, "2", CAT)
        store.edit("3", Change("a.mp4", {}, True), Change("a.mp4", {}, False))
    films, generation = read_annotation_file(tmp_path / "annotations" / "eva.json")
    assert films["a.mp4"].segments == {"d": DOG, "c": CAT}
    assert films["a.mp4"].done
    assert generation == 1
    assert [path.name for path in (tmp_path / "annotations").iterdir()] == ["eva.json"]


KILLED = """
import os, signal, sys
from pathlib import Path
from avssl.annotation.annotation_store import AnnotationStore
from avssl.annotation.edits import Change
from avssl.annotation.film_segments import Segment
with AnnotationStore(Path(sys.argv[1]), "eva") as store:
    for number in range(50):
        segment = Segment(str(number), "dog", number, number + 1)
        store.edit(str(number), Change("a.mp4", {segment.id: segment}), Change("a.mp4", {segment.id: None}))
    store.undo()
    print("confirmed", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_no_edit_and_undo_goes_on_where_it_was(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "confirmed\n")
    assert set(read_annotations_of(tmp_path, "eva")["a.mp4"].segments) == {str(number) for number in range(49)}
    with AnnotationStore(tmp_path, "eva") as store:
        store.redo()
        assert "49" in store.film("a.mp4").segments
        store.undo()
        store.undo()
        assert set(store.film("a.mp4").segments) == {str(number) for number in range(48)}
    assert set(read_annotations_of(tmp_path, "eva")["a.mp4"].segments) == {str(number) for number in range(48)}


def test_a_line_cut_by_a_crash_is_passed_over_and_does_not_spoil_the_next(tmp_path):
    with AnnotationStore(tmp_path, "eva") as store:
        _put(store, "1", DOG)
        journal = journal_path(store.path)
        content = journal.read_bytes()
    journal.write_bytes(content + content.splitlines()[1][:30])
    (tmp_path / "annotations" / "eva.json").unlink()
    with AnnotationStore(tmp_path, "eva") as store:
        _put(store, "2", CAT)
        assert journal.read_bytes().startswith(content)
        assert set(read_annotations_of(tmp_path, "eva")["a.mp4"].segments) == {"d", "c"}


def test_a_journal_that_the_file_holds_already_is_not_applied_again(tmp_path):
    with AnnotationStore(tmp_path, "eva") as store:
        _put(store, "1", DOG)
        old = journal_path(store.path).read_bytes()
    with AnnotationStore(tmp_path, "eva") as store:
        _put(store, "2", LATER, DOG)
    journal_path(store.path).write_bytes(old)  # as if killed between the two writes
    assert read_annotations_of(tmp_path, "eva")["a.mp4"].segments == {"d": LATER}


def test_undo_and_redo_are_inverse(tmp_path):
    with AnnotationStore(tmp_path, "eva") as store:
        assert store.undo() is None
        _put(store, "1", DOG)
        _put(store, "2", LATER, DOG)
        assert store.undo() == Change("a.mp4", {"d": DOG})
        assert store.film("a.mp4").segments == {"d": DOG}
        store.undo()
        assert store.film("a.mp4").segments == {}
        store.redo()
        store.redo()
        assert store.film("a.mp4").segments == {"d": LATER}
        assert store.redo() is None
        store.undo()
        _put(store, "3", CAT)
        assert store.redo() is None


def test_an_edit_of_what_has_changed_since_is_refused_and_a_repeated_one_counts_once(tmp_path):
    with AnnotationStore(tmp_path, "eva") as store:
        _put(store, "1", DOG)
        _put(store, "1", DOG)
        with pytest.raises(StaleEditError):
            _put(store, "2", LATER, None)
        assert store.film("a.mp4").segments == {"d": DOG}
        store.undo()
        assert store.film("a.mp4").segments == {}


def test_a_broken_file_is_one_line_with_its_row_and_stays_as_it_is(tmp_path):
    with AnnotationStore(tmp_path, "eva") as store:
        _put(store, "1", DOG)
        _put(store, "2", CAT)
    path = store.path
    note = json.loads(path.read_text())
    note["films"]["a.mp4"]["segments"][1]["end"] = 0.5
    for text, message in (
        (json.dumps(note), "film 'a.mp4', segment 1: expected 'end' above 'start', got 1 to 0.5 s"),
        (path.read_text()[:-9], "expected annotations in JSON, cannot be read: "),
        (
            '{"format": "avssl-annotations", "version": 1, "films": []}',
            "expected an object of films under 'films', got []",
        ),
        ("[]", "expected annotations of avssl (format 'avssl-annotations', version 1), got another file"),
    ):
        path.write_text(text)
        with pytest.raises(InputError) as error, AnnotationStore(tmp_path, "eva"):
            pass
        assert str(error.value).startswith(f"{path}: ")
        assert message in str(error.value)
        assert path.read_text() == text


def test_a_file_edited_by_hand_while_the_server_runs_is_not_overwritten(tmp_path):
    with AnnotationStore(tmp_path, "eva") as store:
        _put(store, "1", DOG)
    by_hand = store.path.read_text().replace('"dog"', '"wolf"')
    store = AnnotationStore(tmp_path, "eva").__enter__()
    _put(store, "2", CAT)
    store.path.write_text(by_hand)
    with pytest.raises(OutputError, match="it was changed since and is left as it is"):
        store.__exit__(None, None, None)
    assert store.path.read_text() == by_hand
    found = read_annotations_of(tmp_path, "eva")["a.mp4"].segments
    assert {key: each.label for key, each in found.items()} == {"d": "wolf", "c": "cat"}


def test_a_broken_line_of_the_journal_is_named(tmp_path):
    with AnnotationStore(tmp_path, "eva") as store:
        _put(store, "1", DOG)
        content = journal_path(store.path).read_bytes()
    journal_path(store.path).write_bytes(
        content.replace(b'"start": 0.0', b'"start": "0"').replace(b'"generation": 0', b'"generation": 9')
    )
    with pytest.raises(
        InputError, match=r"eva\.journal\.jsonl, line 2: expected seconds from 0 up as 'start', got '?0"
    ):
        read_annotations_of(tmp_path, "eva")


def test_a_full_disk_is_one_line_and_the_edit_does_not_count(tmp_path, monkeypatch):
    with AnnotationStore(tmp_path, "eva") as store:
        _put(store, "1", DOG)
        before = journal_path(store.path).read_bytes()

        def full(_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(OutputError, match="cannot be written: No space left on device"):
                _put(store, "2", CAT)
        assert journal_path(store.path).read_bytes() == before
        assert set(store.film("a.mp4").segments) == {"d"}


@pytest.mark.parametrize("name", ["", "../eva", "a/b", ".eva", "x" * 65, "eva\n", "eva.json"])
def test_names_of_annotators_that_are_no_file_names_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="--annotator: expected letters, digits"):
        AnnotationStore(tmp_path, name)


def test_a_second_server_of_an_annotator_is_refused_and_one_of_another_is_not(tmp_path):
    code = "import sys; from pathlib import Path; from avssl.annotation.annotation_store import AnnotationStore\n"
    code += "with AnnotationStore(Path(sys.argv[1]), sys.argv[2]): print('in')"
    with AnnotationStore(tmp_path, "eva") as store:
        _put(store, "1", DOG)
        for name, expected in (("eva", ""), ("ben", "in\n")):
            done = subprocess.run([sys.executable, "-c", code, str(tmp_path), name], capture_output=True, text=True)
            assert done.stdout == expected
        assert annotators(tmp_path) == ["eva"]
