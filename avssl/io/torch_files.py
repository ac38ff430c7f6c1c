"""Files of `torch.save`: tensors and plain values, and objects of other classes as inert records."""

from __future__ import annotations

import errno
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import serialization

from avssl.errors import InputError, MissingFileError, excerpt


class Record:
    """Object of a foreign class as its name, arguments and state; none of that class's code is run."""

    kind: ClassVar[str] = ""
    """Full name of the class or function that the file names."""

    def __init__(self, *args: Any) -> None:
        self.args, self.state = args, {}  # type: tuple[Any, ...], Any

    def __new__(cls, *args: Any) -> Record:
        """Keep the arguments; pickles make objects without `__init__`."""
        made = super().__new__(cls)
        made.args, made.state = args, {}
        return made

    def __setstate__(self, state: Any) -> None:
        """Keep the state."""
        self.state = state

    def get(self, name: str) -> Any:
        """One attribute of the object; None without it."""
        return self.state.get(name) if isinstance(self.state, dict) else None


def read_torch(path: Path, recorded: Callable[[str], bool] = lambda _: False) -> Any:
    """What `torch.save` wrote, on the CPU. Nothing in the file is executed, and no class of a library is made.

    Tensors and plain values come back as themselves; classes and functions for which `recorded` is true as `Record`.

    Args:
        path: the file.
        recorded: which full names of classes and functions may be in the file.

    Raises:
        MissingFileError: no such file.
        InputError: another file, a broken one, or one with other objects.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: expected a file of torch.save, got none")
    _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _allowed(_records(path, recorded)):
                return torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:  # of a file that is cut: torch seeks before its beginning
            raise
        raise InputError(f"{path}: expected a whole file of torch.save, got one that is cut short") from error
    except Exception as error:  # of a dozen types; some of torch's texts recommend to run what lies in the file
        raise InputError(f"{path}: expected tensors and plain values of torch.save, got {_reason(error)}") from error


def _records(path: Path, recorded: Callable[[str], bool]) -> list[Any]:
    """A class of its own for each name of another class or function in the file.

    Raises:
        InputError: a name that is not recorded.
    """
    if not zipfile.is_zipfile(path):  # the format before torch 1.6, whose names torch does not list; it allows none
        return []
    names = serialization.get_unsafe_globals_in_checkpoint(str(path))
    for name in names:
        if not recorded(name):
            raise InputError(f"{path}: expected tensors and plain values, got {excerpt(name)}; nothing was run")
    return [(type("Record", (Record,), {"kind": name}), name) for name in names]


@contextmanager
def _allowed(records: list[Any]) -> Iterator[None]:
    """Nothing but some records is allowed in pickles: what other libraries have allowed for the process is not."""
    before: Any = serialization.get_safe_globals()
    serialization.clear_safe_globals()
    serialization.add_safe_globals(records)
    try:
        yield
    finally:
        serialization.clear_safe_globals()
        serialization.add_safe_globals(before)


def _check_archive(path: Path) -> None:
    """See that an archive holds no more than its size: torch stores without compression.

    Raises:
        InputError: it holds more, as one made to fill the memory does.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            held = sum(each.file_size for each in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"{path}: expected tensors and plain values of torch.save, got {excerpt(error)}") from error
    if held > path.stat().st_size:
        raise InputError(f"{path}: expected an archive of at most its own size, got one that holds {held} bytes")


def _reason(error: Exception) -> str:
    text = str(error)
    return "other objects; nothing was run" if "weights_only" in text or "global" in text.lower() else excerpt(error)
