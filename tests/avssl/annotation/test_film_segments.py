import numpy as np
import pytest

from avssl.annotation.film_segments import KeyFrame, Segment, parse_segment
from avssl.errors import InputError

VALUES = {
    "id": "a",
    "label": "dog",
    "start": 1.0,
    "end": 3.0,
    "boxes": [{"time": 1.0, "box": [0.0, 0.1, 0.2, 0.3]}, {"time": 3.0, "box": [0.4, 0.5, 0.8, 0.9]}],
}


def test_boxes_move_on_straight_lines_between_key_frames_and_rest_outside():
    segment = parse_segment(VALUES, "x")
    np.testing.assert_allclose(segment.box_at(2.0), [0.2, 0.3, 0.5, 0.6])
    np.testing.assert_allclose(segment.box_at(1.5), [0.1, 0.2, 0.35, 0.45])
    np.testing.assert_allclose(segment.box_at(0.0), [0.0, 0.1, 0.2, 0.3])
    np.testing.assert_allclose(segment.box_at(9.0), [0.4, 0.5, 0.8, 0.9])
    assert Segment("a", "dog", 0, 1).box_at(0.5) is None


def test_a_segment_is_the_same_after_writing_and_reading():
    segment = Segment("b", "cät", 0.25, 1.5, (KeyFrame(0.5, (0.1, 0.2, 0.3, 0.4)),), True, "feline", "cat.wav")
    assert parse_segment(segment.to_json(), "x") == segment


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end": 1.0}, "expected 'end' above 'start', got 1 to 1 s"),
        ({"start": float("nan")}, "expected seconds from 0 up as 'start', got nan"),
        ({"start": True}, "expected seconds from 0 up as 'start', got True"),
        ({"label": 3}, "expected a text of 200 characters at most as 'label', got 3"),
        ({"lable": "dog"}, "got lable (did you mean 'label'?)"),
        ({"id": ""}, "expected a text as 'id', got none"),
        ({"boxes": {}}, "expected a list of at most 100000 key frames as 'boxes'"),
        ({"boxes": [VALUES["boxes"][1], VALUES["boxes"][0]]}, "key frame 1: expected a time after 3 s, got 1 s"),
        ({"boxes": [{"time": 1, "box": [0.5, 0, 0.5, 1]}]}, "key frame 0: expected left, top, right, bottom in 0..1"),
        ({"suggested": 1}, "expected true or false as 'suggested', got 1"),
    ],
)
def test_wrong_values_are_one_line_with_their_place(change, message):
    with pytest.raises(InputError) as error:
        parse_segment(VALUES | change, "dog.json: film 'a.mp4', segment 2")
    assert str(error.value).startswith("dog.json: film 'a.mp4', segment 2")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
