"""YAML of others: bounds on size, on depth and on what aliases expand to."""

import os

import pytest

from avssl.errors import InputError
from avssl.yaml_files import MAX_YAML, read_yaml

LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "of 100000 values at most, got more"),
        ("a: &a [*a]\n", r"whose values end, got \*a inside itself"),
        ("[" * 5000, "with values 32 deep at most, got deeper ones"),
        ("a: [", "in YAML, cannot be read"),
        ("3", "in YAML, cannot be read"),
        ("x" * (MAX_YAML + 1), "of 1 MiB at most, got 1.0 MiB"),
    ],
)
def test_yaml_over_a_bound_is_refused(tmp_path, text, message):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError, match=f"a.yaml: expected a recipe {message}") as caught:
        read_yaml(tmp_path / "a.yaml", "a recipe")
    assert "\n" not in str(caught.value)


def test_aliases_and_merges_are_read(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &x {c: 2}\nb:\n  <<: *x\n  d: 1\n")
    assert read_yaml(tmp_path / "a.yaml", "a recipe") == {"a": {"c": 2}, "b": {"c": 2, "d": 1}}


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(InputError, match="expected a recipe in a regular file, got a named pipe"):
        read_yaml(tmp_path / "a.yaml", "a recipe")
