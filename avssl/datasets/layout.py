"""Contract of a layout: the directory structure of a data set, read into a `Dataset`.

Layouts are plug-ins of the entry-point group `avssl.layouts`; ours are in `layouts/`, one file each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from avssl import plugins
from avssl.config import NoOptions, check_range, keys
from avssl.datasets.dataset import Dataset


class Layout(ABC):
    """Directory structure of a data set; the first line of a subclass's docstring is what `avssl list` shows.

    Args:
        options: an instance of `Options`; None: its defaults.
    """

    projection: ClassVar[str] = "auto"
    """Projection of its frames: equirect, flat (ordinary field of view), or auto: recordings may differ."""
    Options: ClassVar[type] = NoOptions
    """Frozen dataclass; a field `split` chooses one of several sets of split lists."""

    def __init__(self, options: Any = None) -> None:
        self.options = self.Options() if options is None else options

    @abstractmethod
    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Find the recordings below a folder; media are not decoded, headers at most are read.

        Args:
            root: folder of the data set.
            exclude: folder that is not searched, such as the output of `prepare`.

        Raises:
            InputError: no recordings, or lists that cannot be read.
        """

    @classmethod
    def matches(cls, root: Path) -> bool:
        """Whether a folder has this structure; used where a user names no layout."""
        return False

    @classmethod
    def has_split_choice(cls) -> bool:
        """Whether the data set may come with several sets of split lists."""
        return "split" in keys(cls.Options)


@dataclass(frozen=True)
class SplitListOptions:
    """Options of a layout with several sets of split lists."""

    split: str = ""
    """Set of split lists, such as split3 or new_splits/split3; empty: the first."""


@dataclass(frozen=True)
class FileListOptions:
    """Options of a layout whose lists name every file."""

    missing: float = 0.0
    """Highest share of listed files that may be missing, 0 to 1."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_range("layout", "missing", self.missing, 0.0, 1.0)


def load_layout(name: str) -> type[Layout]:
    """Class of an installed layout.

    Raises:
        InputError: no layout, or more than one distribution's, has this name; its import fails; or it is no `Layout`.
    """
    return plugins.load_subclass(plugins.LAYOUTS, name, Layout)  # type: ignore[type-abstract]
