"""Names and messages as text: bytes that are not UTF-8 and control characters are shown as such, in one line."""

import os

import pytest

from avssl.errors import InputError, one_line
from avssl.printable_text import printable, utf8_text


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        (b"caf\xe9.wav", "caf\\xe9.wav", "caf\\xe9.wav"),
        ("café €.wav".encode(), "café €.wav", "café €.wav"),
        (b"a\nb\t\x1b[31m.wav", "a\nb\t\x1b[31m.wav", "a\\nb\\t\\x1b[31m.wav"),
        ("a\u2028\u202eb".encode(), "a\u2028\u202eb", "a\\u2028\\u202eb"),
    ],
)
def test_names_are_text_that_can_be_encoded(name, text, line):
    found = os.fsdecode(name)
    assert (utf8_text(found), printable(found)) == (text, line)
    assert len(printable(found).splitlines()) == 1


def test_half_a_character_is_shown():
    assert printable("a\ud800b") == "a\\ud800b"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("a\nb\udce9.wav: expected sound"), "a b\\xe9.wav: expected sound"),
        (
            OSError(2, "No such file or directory", "a\nb\x1b.wav"),
            "a\\nb\\x1b.wav: No such file or directory",
        ),
    ],
)
def test_messages_are_one_line_that_can_be_encoded(error, line):
    assert one_line(error) == line
