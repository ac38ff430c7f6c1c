"""Findings of an inspection: a statement, and advice where it would go wrong in training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One statement about a recording."""

    text: str
    """What was found."""
    advice: str = ""
    """What to do."""
    wrong: bool = True
    """Whether training would go wrong; else a note."""

    def line(self) -> str:
        """Statement and advice in one line."""
        return f"{self.text}; {self.advice}" if self.advice else self.text
