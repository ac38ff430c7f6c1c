import json
import math

import numpy as np
import pytest

from avssl.synth.user_clips.annotations import Annotation, read_annotations

KEYS = [{"time": 1.0, "box": [0.1, 0.2, 0.3, 0.4]}, {"time": 3.0, "box": [0.5, 0.2, 0.9, 0.8]}]


def write(folder, *sources, **note):
    (folder / "clip.mp4").touch()
    path = folder / "sources.json"
    path.write_text(json.dumps({"format": "avssl-sources", "version": 1, "sources": list(sources)} | note))
    return path


def test_boxes_move_on_straight_lines_between_key_frames_and_stand_still_outside(tmp_path):
    (found,) = read_annotations(write(tmp_path, {"video": "clip.mp4", "label": "dog", "boxes": KEYS}))
    for time, box in (
        (0.0, [0.1, 0.2, 0.3, 0.4]),
        (1.0, [0.1, 0.2, 0.3, 0.4]),
        (1.5, [0.2, 0.2, 0.45, 0.5]),
        (2.0, [0.3, 0.2, 0.6, 0.6]),
        (3.0, [0.5, 0.2, 0.9, 0.8]),
        (9.0, [0.5, 0.2, 0.9, 0.8]),
    ):
        assert found.box(time) == pytest.approx(np.array(box), abs=1e-12)


def test_what_is_not_said_is_all_of_it(tmp_path):
    (found,) = read_annotations(write(tmp_path, {"video": "clip.mp4", "label": "dog"}))
    video = tmp_path / "clip.mp4"
    assert found == Annotation(video, video, "dog", 0.0, math.inf, "", (), ())
    assert found.box(2.0).tolist() == [0, 0, 1, 1]


def test_one_video_may_have_several_segments_and_its_audio_elsewhere(tmp_path):
    (tmp_path / "clip.wav").touch()
    one = {"video": "clip.mp4", "label": "dog", "start": 1, "end": 2.5, "audio": "clip.wav", "instance": "animal"}
    found = read_annotations(write(tmp_path, one, one | {"start": 4.0, "end": 6.0}))
    assert [(each.start, each.end, each.instance) for each in found] == [(1, 2.5, "animal"), (4, 6, "animal")]
    assert found[0].audio == tmp_path / "clip.wav"


def test_a_folder_names_the_kinds_by_its_folders(tmp_path):
    for name in ("dog/b.mp4", "dog/a.webm", "cat/c.MKV", "cat/notes.txt", "loose.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [(each.label, each.video.name) for each in read_annotations(tmp_path)]
    assert found == [("cat", "c.MKV"), ("dog", "a.webm"), ("dog", "b.mp4")]
    flat = [(each.label, each.video.name) for each in read_annotations(tmp_path / "dog")]
    assert flat == [("a", "a.webm"), ("b", "b.mp4")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"LABEL/clip.mp4.*found none"):
        read_annotations(tmp_path / "empty")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video": "gone.mp4"}, "source 0 names a video file that is not there: .*gone.mp4"),
        ({"video": 3}, "source 0 wants a text 'video', it has 3"),
        ({"audio": "gone.wav"}, "source 0 names a audio file that is not there"),
        ({"label": ""}, "source 0 wants a text 'label', it has ''"),
        ({"label": None}, "source 0 wants a text 'label', it has None"),
        ({"lable": "x"}, "source 0 has no 'lable'.*label"),
        ({"start": "1"}, "source 0 wants seconds as 'start'"),
        ({"start": -1.0}, "source 0 wants seconds as 'start'"),
        ({"start": True}, "source 0 wants seconds as 'start'"),
        ({"end": float("nan")}, "source 0 wants seconds as 'end'"),
        ({"start": 3.0, "end": 2.0}, r"source 0 ends after it starts, this goes from 3.0 to 2.0 s"),
        ({"boxes": {}}, "source 0 wants a list of key frames"),
        ({"boxes": [[0, 0, 1, 1]]}, "source 0 wants a 'time' and a 'box' as key frame 0"),
        ({"boxes": [KEYS[0] | {"x": 1}]}, "source 0 wants a 'time' and a 'box' as key frame 0"),
        ({"boxes": [{"time": "1", "box": [0, 0, 1, 1]}]}, "source 0 wants the seconds of key frame 0"),
        ({"boxes": KEYS[::-1]}, r"source 0 has key frames in the order of time, 1.0 s comes after 3.0 s"),
        ({"boxes": [KEYS[0], KEYS[0]]}, "order of time"),
        ({"boxes": [{"time": 1, "box": [0, 0, 1]}]}, "left, top, right, bottom in 0..1 as the box of key frame 0"),
        ({"boxes": [{"time": 1, "box": [0.5, 0, 0.5, 1]}]}, "as the box of key frame 0"),
        ({"boxes": [KEYS[0], {"time": 2, "box": [10, 20, 300, 400]}]}, "as the box of key frame 1"),
        ({"boxes": [{"time": 1, "box": [0, None, 1, 1]}]}, "as the box of key frame 0"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, change, message):
    path = write(tmp_path, {"video": "clip.mp4", "label": "dog"} | change)
    with pytest.raises(ValueError, match=f"sources.json: .*{message}") as caught:
        read_annotations(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected an annotation file in JSON"),
        ("\x00", "expected an annotation file in JSON"),
        ("[]", "format 'avssl-sources', version 1"),
        ('{"format": "avssl-sources", "version": 2, "sources": []}', "version 1"),
        ('{"format": "avssl-sources", "version": 1}', "at least one source"),
        ('{"format": "avssl-sources", "version": 1, "sources": {}}', "at least one source"),
        ('{"format": "avssl-sources", "version": 1, "sources": [7]}', "source 0 is an object, not 7"),
    ],
)
def test_files_that_are_something_else_are_refused(tmp_path, content, message):
    path = tmp_path / "sources.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_annotations(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(
        OSError, match=r"gone.json: expected an annotation file in JSON, or a folder of clips, there is no such file$"
    ):
        read_annotations(tmp_path / "gone.json")
