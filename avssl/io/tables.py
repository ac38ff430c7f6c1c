"""Tables as text."""

from __future__ import annotations

import sys
from io import StringIO

from rich.box import ASCII
from rich.console import Console
from rich.table import Table


def table_text(table: Table, width: int | None = None) -> str:
    """A table in plain lines; their lines are of ASCII where standard output is not Unicode.

    Args:
        table: what to render.
        width: in columns; None: that of the terminal, or 80.
    """
    if not str(getattr(sys.stdout, "encoding", None) or "utf").lower().startswith("utf"):
        table.box = ASCII
    text = StringIO()
    console = Console(file=text, width=width or Console().width, force_terminal=False, color_system=None)
    console.print(table)
    return text.getvalue().rstrip("\n")
