"""Names of files in a list or table that came with a data set: they stay inside its folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from avssl.errors import InputError


def leads_out(name: str) -> bool:
    """Whether a relative name leaves its folder: absolute, or with `..`, on any system.

    Links on disk are the user's own and are followed; a name is only what somebody wrote.
    """
    windows = PureWindowsPath(name)
    absolute = PurePosixPath(name).is_absolute() or windows.is_absolute() or bool(windows.root)
    return absolute or ".." in PurePosixPath(name).parts or ".." in windows.parts


def check_inside(names: Iterable[str], where: Path | str, folder: str = "the data set's folder") -> None:
    """Check that names of a list lead to files inside a folder.

    Args:
        names: as the list has them.
        where: the list, for the error.
        folder: the folder in words, for the error.

    Raises:
        InputError: a name leads out.
    """
    if (out := next(filter(leads_out, names), None)) is not None:
        raise InputError(f"{where}: paths stay inside {folder}, {out!r} does not")
