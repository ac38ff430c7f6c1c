import json

import numpy as np
import pytest

from avssl.annotation.annotation_file import FilmAnnotations
from avssl.annotation.film_segments import KeyFrame, Segment
from avssl.annotation.source_export import export_sources, suggestions
from avssl.errors import InputError
from avssl.synth.user_clips.annotations import read_annotations

HOSTILE = 'a "b" <img src=x>\n\udce9;.mp4'
DOG = Segment("d", "dog", 0.5, 2.0, (KeyFrame(0.5, (0.1, 0.1, 0.5, 0.5)), KeyFrame(1.5, (0.3, 0.1, 0.7, 0.5))))


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mp4", HOSTILE):
        (tmp_path / name).touch()
    (tmp_path / "dog.wav").touch()
    return tmp_path


def test_exported_segments_are_the_sources_that_synth_reads(folder):
    films = {
        HOSTILE: FilmAnnotations(True, {"d": DOG}),
        "b.mp4": FilmAnnotations(False, {"c": Segment("c", "cat", 1.0, 2.0, (), False, "feline", "dog.wav"),
                                         "s": Segment("s", "dog", 0.0, 1.0, suggested=True)}),
    }  # fmt: skip
    out = folder / "below" / "sources.json"
    out.parent.mkdir()
    assert export_sources(folder, films, out) == 2
    dog, cat = read_annotations(out)
    assert dog.video.resolve() == folder / HOSTILE
    assert (dog.label, dog.start, dog.end) == ("dog", 0.5, 2.0)
    for time in (0.0, 0.8, 1.2, 3.0):
        np.testing.assert_allclose(dog.box(time), DOG.box_at(time))
    assert (cat.label, cat.instance, cat.audio.resolve()) == ("cat", "feline", folder / "dog.wav")
    assert export_sources(folder, films, out, only_done=True) == 1


def test_a_segment_without_class_is_named_and_nothing_is_written(folder):
    films = {"b.mp4": FilmAnnotations(False, {"c": Segment("c", "", 1.0, 2.5)})}
    with pytest.raises(InputError, match=r"b\.mp4: expected a class of the segment from 1 to 2\.5 s, got none"):
        export_sources(folder, films, folder / "out.json")
    assert not (folder / "out.json").exists()


def test_detected_sources_become_suggestions_once_and_keep_all_they_say(folder):
    source = {"video": HOSTILE, "label": "dog", "audio": "dog.wav", "start": 0.5, "instance": "puppy",
              "boxes": [frame.to_json() for frame in DOG.boxes]}  # fmt: skip
    path = folder / "sources-yolo.json"
    path.write_text(json.dumps({"format": "avssl-sources", "version": 1, "sources": [source]}))
    [change], outside = suggestions(folder, path, {}, {HOSTILE: 3.0, "b.mp4": 3.0})
    [segment] = change.segments.values()
    assert (change.film, outside) == (HOSTILE, 0)
    assert segment == Segment(segment.id, "dog", 0.5, 3.0, DOG.boxes, True, "puppy", "dog.wav")
    films = {}
    change.apply(films)
    assert suggestions(folder, path, films, {HOSTILE: 3.0}) == ([], 0)


def test_sources_of_other_folders_are_an_error_of_one_line(folder, tmp_path_factory):
    path = folder / "sources.json"
    path.write_text(
        json.dumps({"format": "avssl-sources", "version": 1, "sources": [{"video": "b.mp4", "label": "dog"}]})
    )
    with pytest.raises(InputError, match="expected sources of films in"):
        suggestions(tmp_path_factory.mktemp("other"), path, {}, {})
