"""Example lines at the end of a command's help."""

from __future__ import annotations


def example(*lines: str) -> str:
    """Epilog of a command: lines to copy, unwrapped."""
    return "\b\n" + "\n".join(["Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)])
