"""Tables as text."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.table import Table


def table_text(table: Table, width: int | None = None) -> str:
    """A table in plain lines.

    Args:
        table: what to render.
        width: in columns; None: that of the terminal, or 80.
    """
    text = StringIO()
    console = Console(file=text, width=width or Console().width, force_terminal=False, color_system=None)
    console.print(table)
    return text.getvalue().rstrip("\n")
