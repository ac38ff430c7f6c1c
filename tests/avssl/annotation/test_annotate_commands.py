import json
import socket

import numpy as np
import pytest
from click.testing import CliRunner

from avssl.annotation.annotation_store import AnnotationStore, read_annotations_of
from avssl.annotation.edits import Change
from avssl.annotation.film_segments import KeyFrame, Segment
from avssl.cli import main
from avssl.media import write_video
from avssl.synth.user_clips.annotations import read_annotations

BOX = (KeyFrame(1.0, (0.0, 0.0, 0.5, 0.5)),)


@pytest.fixture
def folder(tmp_path):
    """A film that two annotators have annotated, and a source that a detector found."""
    write_video(tmp_path / "a.mp4", [np.full((64, 96, 3), 90, np.uint8)] * 40, 10)
    for name, start in (("eva", 0.0), ("ben", 1.0)):
        with AnnotationStore(tmp_path, name) as store:
            store.add(Change("a.mp4", {"d": Segment("d", "dog", start, 3.0, BOX)}))
    source = {"video": "a.mp4", "label": "cat", "start": 1.0, "end": 2.0}
    (tmp_path / "found.json").write_text(json.dumps({"format": "avssl-sources", "version": 1, "sources": [source]}))
    return tmp_path


def _run(*words):
    return CliRunner().invoke(main, ["annotate", *map(str, words)])


def test_agreement_is_printed_and_written(folder):
    done = _run(folder, "--agreement", "--json", folder / "agreement.json")
    assert done.exit_code == 0, done.output
    [pair] = json.loads((folder / "agreement.json").read_text())["pairs"]
    chance = 0.75 * 0.5 + 0.25 * 0.5
    assert pair["kappa"] == pytest.approx((0.75 - chance) / (1 - chance))
    assert pair["temporal_iou"] == pytest.approx(2 / 3)
    assert pair["box_iou"] == 1
    assert "ben eva     1      4.0" in done.output


def test_export_writes_the_sources_of_one_annotator(folder):
    done = _run(folder, "--annotator", "ben", "--export", folder / "sources.json")
    assert (done.exit_code, done.output) == (0, f"{folder / 'sources.json'}: 1 sources\n")
    [source] = read_annotations(folder / "sources.json")
    assert (source.label, source.start, source.end, source.boxes) == ("dog", 1.0, 3.0, (BOX[0].box,))


def test_a_port_in_use_is_one_line_and_what_was_imported_stays(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = _run(folder, "--annotator", "eva", "--import", folder / "found.json", "--port", port, "--no-browser")
    assert done.exit_code == 2
    assert f"expected a free port, got {port}, one that is in use" in done.output
    assert {each.label for each in read_annotations_of(folder, "eva")["a.mp4"].segments.values()} == {"dog", "cat"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["GONE"], "GONE: expected a folder of films, there is none"),
        (["."], "expected films (.mp4, .webm, .mkv, ...) below it, found none"),
        ([".", "--annotator", "../eva"], "--annotator: expected letters, digits"),
        ([".", "--json", "x.json"], "expected --agreement beside --json"),
        ([".", "--only-done"], "expected --export beside --only-done"),
        ([".", "--export", "x.json"], "expected segments to export, got none"),
        ([".", "--export", "x.json", "--import", "y.json"], "expected --import, or --export and --agreement, got both"),
    ],
)
def test_wrong_options_are_one_line_and_write_nothing(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    if "--annotator" in words:
        write_video(tmp_path / "a.mp4", [np.full((64, 96, 3), 90, np.uint8)] * 4, 10)
    before = sorted(tmp_path.iterdir())
    done = _run(*words)
    assert done.exit_code == 2
    assert message in done.output
    assert len([line for line in done.output.splitlines() if line.startswith("Error")]) == 1
    assert sorted(tmp_path.iterdir()) == before
