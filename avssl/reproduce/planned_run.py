"""A run that a table needs: encoders, or a head on them, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from avssl.reproduce.network_passes import Passes


class PlannedRun(Protocol):
    """One run; equal folders are equal runs."""

    @property
    def folder(self) -> Path:
        """Where its results lie."""

    @property
    def kind(self) -> str:
        """Name of all runs that differ from it in the seed only, and so take as long."""

    @property
    def seed(self) -> int:
        """Its random seed."""

    def check(self) -> None:
        """Check that the folder is free for this run, or that it holds this run; writes nothing.

        Raises:
            InputError: it belongs to another run, or cannot be used.
        """

    def is_complete(self) -> bool:
        """Whether the folder holds all results of this run."""

    def make(self) -> None:
        """Make the run, or continue it.

        Raises:
            InputError: unusable data or settings.
            SystemExit: with code 0, after saving, on SIGTERM, SIGHUP or Ctrl-C while it trains.
            KeyboardInterrupt: on these at another time.
        """

    def passes(self) -> Sequence[Passes]:
        """The windows that it passes through towers, by which its time is estimated."""
