"""Commands, Python blocks, paths and names in README, CONTRIBUTING, RESULTS and docs are those of the code."""

import importlib
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click
import pytest
import torch

from avssl.cli import main
from avssl.cli.options import ConfigCommand, option_fields
from avssl.config import FeatureConfig, ModelConfig
from avssl.media import write_audio
from avssl.models import build_encoders
from avssl.plugins import KINDS
from avssl.recipe_files import shipped_recipes
from avssl.renamed import KEYS

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "RESULTS.md", "SECURITY.md")]
    + [page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts and "api" not in page.parts]
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|[\s/])avssl ([a-z][^;|&>`]*)")


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def commands(page: Path) -> Iterator[list[str]]:
    """Words after `avssl` of every command in a page's shell blocks and inline code."""
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"`(avssl [^`\n]+)`", BLOCK.sub("", text))
    shell = [expanded(block.replace("\\\n", " ")) for block in blocks(page, "bash")]
    for line in [*"\n".join(shell).splitlines(), *inline]:
        for found in COMMAND.findall(re.sub(r"(^|\s)#.*", "", line)):
            yield shlex.split(found)


def expanded(shell: str) -> str:
    """Shell with the function `spatialize` of RESULTS.md inlined, and each variable and brace as its first value."""
    shell = re.sub(r"(?m)^spatialize\(\).*$", "", shell)
    shell = re.sub(r"(?m)(^ *|do )spatialize (?=\w)", r"\1avssl downstream spatialize --recipe spatialize/", shell)
    values = dict(re.findall(r"(?m)^\s*(?:export )?(\w+)=\"([^\"\n]*)\"", shell))
    values |= {name: words.split()[0].strip('"') for name, words in re.findall(r"for (\w+) in ([^;]+);", shell)}
    shell = re.sub(r"\$\{?(\w+)(?:/[^}]*|\[[^]]*\])?\}?", lambda found: values.get(found[1], "x"), shell)
    return re.sub(r"\{([\w-]+),[^}]*\}", r"\1", shell)


EXAMPLES = {"shift", "localize", "panner", "sessions", "metronome"}
"""Plug-ins of `examples/`, which are not installed here."""
CASES = {
    f"{page.relative_to(ROOT)}: avssl {shlex.join(words)}": words
    for page in PAGES
    for words in commands(page)
    if not EXAMPLES & set(words)
}


@pytest.mark.parametrize("words", CASES.values(), ids=CASES)
def test_documented_commands_parse(words):
    command, context = parse(words)
    for option, value in pairwise(words):
        if option == "--recipe" and not value.endswith(".yaml"):
            assert value in shipped_recipes()
        if option == "--set" and isinstance(command, ConfigCommand):
            key = value.partition("=")[0]
            fields = option_fields(command.config(), chosen=lambda name: command.chosen(context, name))
            known = {field.key for field in fields}
            assert any(key == each or each.startswith(f"{key}.") or key.startswith(f"{each}.") for each in known), key


def parse(words: list[str]) -> tuple[click.Command, click.Context]:
    """The command that words name, and its context, options parsed; nothing is run."""
    command: click.Command = main
    context = click.Context(main, info_name="avssl")
    while isinstance(command, click.Group) and words:
        name, found, words = command.resolve_command(context, list(words))
        assert found is not None, name
        command, context = found, click.Context(found, info_name=name, parent=context)
    if isinstance(command, click.Group):
        return command, context
    shortened = not words or words[0].startswith("--")  # as text names a command, without its arguments
    try:
        return command, command.make_context(context.info_name, list(words), parent=context.parent)
    except click.exceptions.Exit:  # --help
        return command, context
    except (click.MissingParameter, click.BadOptionUsage):
        if not shortened:
            raise
        return command, context


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_python_of_the_page_runs(page, tmp_path, monkeypatch):
    (source,) = blocks(ROOT / page, "python")
    monkeypatch.chdir(tmp_path)
    build_encoders(ModelConfig(), FeatureConfig()).save("runs/avsa-foa-iv/encoders")
    write_audio("clip.wav", torch.zeros(4, 24000), 24000)
    names: dict = {}
    exec(compile(source, page, "exec"), names)
    assert names["embedding"].shape == (names["encoders"].audio_width,)


def test_readme_is_two_screens():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs/images/one_clip.svg"], ids=lambda page: page.name)
def test_paths_and_modules_in_pages_exist(page):
    text = re.sub(r"(?s)```\{toctree\}.*?```|\{doc\}`[^`]*`", "", page.read_text(encoding="utf-8"))
    paths = re.findall(r"(?<![\w/.-])((?:avssl|tasks|downstream|examples|docs|recipes|tests)/[\w./-]*\w)", text)
    assert [path for path in paths if "_build" not in path and not (ROOT / path).exists()] == []
    for name in set(re.findall(r"`((?:avssl|avssl_tasks|avssl_downstream)(?:\.\w+)+)[`(]", text)):
        assert resolves(name), name


def resolves(name: str) -> bool:
    """Whether a dotted name is an entry-point group, a module, or an attribute of one."""
    if name in KINDS:
        return True
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part, None)
        return found is not None
    return False


def test_links_in_pages_lead_to_files():
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)[^)\s]*\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_bounds_in_the_security_page_are_those_of_the_code():
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| [^|]+ \| ([^|]+) \| `([\w.]+)` \|$", page)
    assert len(rows) > 20
    for text, name in rows:
        module, _, constant = name.rpartition(".")
        value = getattr(importlib.import_module(module), constant)
        values = value if isinstance(value, tuple) else (value,)
        assert text == " to ".join(f"{each:,g}" if each < 1e5 else f"{round(each):,}" for each in values), name


def test_drawing_of_one_clip_is_up_to_date():
    names: dict = {"__name__": "drawing", "__file__": str(ROOT / "docs/images/draw_one_clip.py")}
    exec((ROOT / "docs/images/draw_one_clip.py").read_text(encoding="utf-8"), names)
    assert names["draw"]() == (ROOT / "docs/images/one_clip.svg").read_text(encoding="utf-8")


def test_changelog_lists_every_renamed_key():
    rows = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("### Renamed")[2].partition("###")[0]
    words = set(re.findall(r"[\w-]+", rows.replace("--", " ")))
    assert {each for old, new in KEYS.items() for each in (old, *new)} - words == set()
