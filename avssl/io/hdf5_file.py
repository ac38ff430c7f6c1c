"""HDF5 files of others: only numbers and text that lie in the file itself, up to a bound, are read.

A link, a variable's storage and a virtual variable can name any other file, which HDF5 would open; a variable of a few
bytes can declare any shape, whose values would be filled in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from avssl.errors import InputError
from avssl.regular_files import check_regular


@contextmanager
def open_hdf5(path: Path, expected: str) -> Iterator[Any]:
    """An open `h5py.File`; errors of the library in the body are reported as those of a file that cannot be read.

    Args:
        path: the file.
        expected: content, such as `a SOFA file`, for the error.

    Raises:
        InputError: no regular file, no HDF5, or broken.
        PermissionError: it may not be read.
    """
    check_regular(path, expected)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, MemoryError) as error:
        # h5py raises any of these for corrupt bytes; our own errors pass through.
        if isinstance(error, (InputError, PermissionError)):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: expected {expected}, cannot be read: {reason}") from error


def find_variable(path: Path, file: Any, name: str, most: int) -> Any:
    """A variable (HDF5: dataset) in the topmost group of a file, not yet read.

    Args:
        path: the file, for the error.
        file: open for reading.
        name: of the variable.
        most: values at most.

    Returns:
        `h5py.Dataset`; None where there is no variable of this name.

    Raises:
        InputError: it leads to another file or place, or has more values.
    """
    link = file.get(name, getlink=True) if "/" not in name else None
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise InputError(f"{path}: expected {name} in the file itself, got a link to {link.path!r}; store its values")
    variable = file[name]
    if not isinstance(variable, h5py.Dataset):
        return None
    if variable.external or variable.is_virtual:
        raise InputError(f"{path}: expected {name} in the file itself, got values of other files; store them in it")
    _check_size(path, variable, name, most)
    return variable


def _check_size(path: Path, variable: Any, name: str, most: int) -> None:
    """Check the declared shape, the size of one value, and what is decompressed at a time."""
    count = variable.size or 0
    chunk = math.prod(variable.chunks or ())
    largest = max(count * variable.dtype.itemsize, (chunk if variable.chunks else 0) * variable.dtype.itemsize)
    if count > most or largest > 8 * most:
        raise InputError(f"{path}: expected {most} values of {name} at most, got {max(count, chunk)} ({largest} bytes)")
