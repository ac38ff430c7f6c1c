"""Files of `torch.save`: tensors and plain values, and objects of other classes as inert records."""

from __future__ import annotations

import errno
import pickletools
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar

import torch
from torch import serialization

from avssl.errors import InputError, MissingFileError, excerpt

MAX_NESTING = 1000
"""Tuples inside one another."""
_PUT, _GET = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), ("GET", "BINGET", "LONG_BINGET")
_NESTING = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "NEWOBJ")
_MARK = object()
LEGACY_PICKLES = 5
"""Pickles in front of the data in files before torch 1.6."""


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
    try:
        _check_bounds(path)
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


def _check_bounds(path: Path) -> None:
    """Check sizes and nesting before torch reads a file: it would fill the memory, or end the process.

    Raises:
        InputError: an archive that holds more than its own size (torch stores without compression), or tuples deeper
            than `MAX_NESTING`.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            _check_nesting(path, (file for _ in range(LEGACY_PICKLES)))
        return
    with zipfile.ZipFile(path) as archive:
        held = sum(each.file_size for each in archive.infolist())
        if held > path.stat().st_size:
            raise InputError(f"{path}: expected an archive of at most its own size, got one of {held} bytes")
        pickles = [archive.read(each) for each in archive.infolist() if each.filename.endswith("data.pkl")]
    _check_nesting(path, pickles)


def _check_nesting(path: Path, pickles: Iterable[bytes | IO[bytes]]) -> None:
    """Follow the stack of pickles without making anything; hashing tuples deep in one another ends the process.

    Raises:
        InputError: they are deeper than `MAX_NESTING`.
    """
    for each in pickles:
        try:
            deepest = max(_tuple_depths(each), default=0)
        except Exception:  # no pickle, or the data behind the last one: torch says so
            return
        if deepest > MAX_NESTING:
            raise InputError(f"{path}: expected tuples at most {MAX_NESTING} deep, got deeper ones")


def _tuple_depths(content: bytes | IO[bytes]) -> Iterator[int]:
    """Depth of each tuple of a pickle, and of the objects made with one; ends at the first beyond `MAX_NESTING`."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for operation, argument, _ in pickletools.genops(content):
        if operation.name in _PUT:
            memo[len(memo) if argument is None else argument] = stack[-1]
        elif operation.name in _GET:
            stack.append(memo[argument])
        else:
            popped = _pop(stack, operation.stack_before)
            depth = 1 + max(popped, default=0) if operation.name in _NESTING else 0
            stack += [_MARK if each is pickletools.markobject else depth for each in operation.stack_after]
            yield depth
            if depth > MAX_NESTING:
                return


def _pop(stack: list[Any], taken: list[Any]) -> list[int]:
    """Take from a stack as an operation of a pickle does: so many values, or all down to a mark and those below it."""
    popped: list[int] = []
    if pickletools.markobject in taken:
        while (value := stack.pop()) is not _MARK:
            popped.append(value)
        taken = taken[: taken.index(pickletools.markobject)]
    return [*popped, *(stack.pop() for _ in taken)]


def _reason(error: Exception) -> str:
    text = str(error)
    return "other objects; nothing was run" if "weights_only" in text or "global" in text.lower() else excerpt(error)
