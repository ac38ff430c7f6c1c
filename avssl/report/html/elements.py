"""Elements of the page: everything that comes from a run is escaped here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from avssl.printable_text import printable


def text(value: object) -> str:
    """Text of a run, such as a name, as it may stand in an element or an attribute."""
    return escape(printable(str(value)), quote=True)


def table(heading: Sequence[object], body: Iterable[Sequence[object]], left: int = 1, name: str = "") -> str:
    """A table of plain text whose columns can be sorted.

    Args:
        heading: of the columns.
        body: rows of cells.
        left: number of columns with text; those behind hold numbers.
        name: value of `data-table`, by which scripts and tests find it.
    """
    return html_table(map(text, heading), (map(text, row) for row in body), left, name)


def html_table(heading: Iterable[str], body: Iterable[Iterable[str]], left: int, name: str = "") -> str:
    """A table of HTML, see `table`."""
    head = "".join(f'<th scope="col"><button type="button">{each}</button></th>' for each in heading)
    rows = "".join(f"<tr>{''.join(_cell(each, at >= left) for at, each in enumerate(row))}</tr>" for row in body)
    marked = f' data-table="{text(name)}"' if name else ""
    return f'<div class="scroll"><table{marked}><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(html: str, number: bool) -> str:
    return f"<td{' class=number' if number else ''}>{html}</td>"


def section(title: str, *parts: str) -> str:
    """A section of the page; parts are HTML."""
    return f"<section><h2>{text(title)}</h2>{''.join(parts)}</section>"


def details(title: str, *parts: str) -> str:
    """Parts that are shown on demand."""
    return f"<details><summary>{text(title)}</summary>{''.join(parts)}</details>"


def missing(what: str, command: str) -> str:
    """Why something is not on the page, and the command that makes it."""
    return f'<p class="quiet">{text(what)} <code>{text(command)}</code></p>'


def note(value: object) -> str:
    """A remark."""
    return f'<p class="quiet">{text(value)}</p>'


def figure(picture: str, caption: str) -> str:
    """A figure that the keyboard reaches: arrow keys step through its points. The caption is plain text."""
    said = f'{text(caption)} <output aria-live="polite"></output>'
    return f'<figure tabindex="0">{picture}<figcaption>{said}</figcaption></figure>'


def data_url(kind: str, data: bytes) -> str:
    """Bytes as an address of a media type, such as `video/mp4`."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
