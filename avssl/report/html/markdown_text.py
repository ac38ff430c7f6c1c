"""The Markdown that avssl itself writes, as HTML: tables, lists, paragraphs, bold and italic."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from avssl.report.html.elements import html_table, text

_CELL = re.compile(r"(?<!\\)\|")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_ITALIC = re.compile(r"\*([^*]+)\*")


def markdown_html(source: str) -> str:
    """HTML of a text; whatever is in it is escaped."""
    return "".join(
        _block(kind, [line.strip() for line in lines]) for kind, lines in groupby(source.splitlines(), _kind)
    )


def rich(value: str) -> str:
    """Escaped text with bold and italic marks as elements."""
    return _ITALIC.sub(r"<em>\1</em>", _BOLD.sub(r"<strong>\1</strong>", text(value)))


def rich_table(heading: Sequence[str], body: Iterable[Sequence[str]], left: int, name: str = "") -> str:
    """A table of rich text; see `elements.table`."""
    return html_table(map(rich, heading), (map(rich, row) for row in body), left, name)


def _kind(line: str) -> str:
    line = line.strip()
    return "table" if line.startswith("|") else "list" if line.startswith("- ") else "text" if line else ""


def _block(kind: str, lines: list[str]) -> str:
    if kind == "table":
        rows = list(_rows(lines))
        return rich_table(rows[0], rows[1:], 1)
    if kind == "list":
        return f"<ul>{''.join(f'<li>{rich(each[2:])}</li>' for each in lines)}</ul>"
    return f"<p>{rich(' '.join(lines))}</p>" if kind else ""


def _rows(lines: list[str]) -> Iterator[list[str]]:
    """Cells of the rows of a table, without its rule."""
    for line in lines:
        if set(line) - set("|-: "):
            yield [each.strip().replace("\\|", "|").replace("&lt;", "<") for each in _CELL.split(line)[1:-1]]
