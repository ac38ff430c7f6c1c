"""Rules of the repository that no linter holds."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST = 80
"""Characters of a test's name."""


def test_names_of_tests_have_at_most_80_characters():
    names = [
        each.name
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    ]
    assert names
    assert [name for name in names if len(name) > LONGEST] == []


def test_cores_are_counted_in_one_place():
    found = [
        path.relative_to(ROOT).as_posix()
        for package in ("avssl", "tasks", "downstream")
        for path in (ROOT / package).rglob("*.py")
        if "cpu_count" in path.read_text(encoding="utf-8") or "sched_getaffinity" in path.read_text(encoding="utf-8")
    ]
    assert found == ["avssl/io/cores.py"]
