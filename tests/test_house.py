"""Rules of the repository that no linter holds."""

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ("avssl", "tasks", "downstream")
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
        for package in SOURCES
        for path in (ROOT / package).rglob("*.py")
        if "cpu_count" in path.read_text(encoding="utf-8") or "sched_getaffinity" in path.read_text(encoding="utf-8")
    ]
    assert found == ["avssl/io/cores.py"]


ROLES = {"__init__.py", "head.py", "options.py"}
"""File names of a role in a folder."""
METHODS = {"asn.py", "foa360.py", "mono_to_3d.py"}
"""Published methods, each with a file of its network and one of its generator."""


def test_no_two_source_files_share_a_name() -> None:
    paths = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    counts = Counter(path.name for path in paths if path.name not in ROLES | METHODS)
    assert [name for name, count in counts.items() if count > 1] == []
    spatialize = ROOT / "downstream" / "avssl_downstream" / "spatialize"
    for name in METHODS:
        found = [path for path in paths if path.name == name]
        assert sorted(found) == [spatialize / "generators" / name, spatialize / "networks" / name]


def test_versions_are_the_same_in_all_files():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ruff = next(each for each in project["optional-dependencies"]["dev"] if each.startswith("ruff=="))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"ruff-pre-commit\s+rev: v(\S+)", hooks)[1] == ruff.removeprefix("ruff==")
    assert re.search(r"(?m)^version: (\S+)", citation)[1] == project["version"]
    assert re.search(r"(?m)^license: (\S+)", citation)[1] == project["license"]
