"""Exceptions for user input: the only ones that the command line reports in one line; all others show a traceback.

Raise `InputError` for a key, an option, a file or a folder that a user gave, at the border where it is read; plug-ins
do the same. An exception of a library about a user's file is converted there, with the path. Shapes of tensors and
other arguments of a function stay `ValueError` or `TypeError`, and our own mistakes are `assert`: these are bugs of a
program. An `OSError` of the operating system about the user's files, disk or devices needs no conversion, see
`is_input_error`.
"""

from __future__ import annotations

import errno
import reprlib

from avssl.printable_text import printable

_ENVIRONMENT = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES", "EADDRINUSE", "EBUSY", "ECONNREFUSED", "EDQUOT", "EEXIST", "EFBIG", "EILSEQ", "EIO", "EISDIR",
        "ELOOP", "EMFILE", "ENAMETOOLONG", "ENFILE", "ENODEV", "ENOENT", "ENOLCK", "ENOMEM", "ENOSPC", "ENOTDIR",
        "ENOTEMPTY", "ENXIO", "EPERM", "EROFS", "ESTALE", "ETIMEDOUT", "ETXTBSY", "EXDEV",
    )
    if hasattr(errno, name)
)  # fmt: skip
"""Errors that depend on the user's files, disk, limits or devices; the others, such as EBADF, are bugs."""


_OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",  # torch; its text ends with the number of bytes
    "CUDA out of memory",
    "std::bad_alloc",
    "Insufficient memory",  # OpenCV
    "unable to mmap",  # torch's shared memory and files
    "can't start new thread",
    "failed to map segment from shared object",  # the loader of a library
)


class InputError(ValueError):
    """Invalid user input: `expected X, got Y (where); do Z`, in one line."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that a user named, or that a file of theirs names, does not exist."""


class OutputError(InputError, OSError):
    """A file or folder that a user named cannot be written."""


def is_input_error(error: BaseException) -> bool:
    """Whether an exception is about user input: `InputError`, an environment's `OSError`, or want of memory."""
    environment = isinstance(error, OSError) and error.errno in _ENVIRONMENT
    return isinstance(error, InputError) or environment or is_memory_error(error)


def is_memory_error(error: BaseException) -> bool:
    """Whether memory or threads could not be had: MemoryError, and what torch and OpenCV raise instead."""
    return isinstance(error, MemoryError) or (
        isinstance(error, Exception) and any(text in str(error) for text in _OUT_OF_MEMORY)
    )


def first_line(error: BaseException) -> str:
    """First line of an exception's message, or its type and arguments where the message is empty."""
    return (str(error) or repr(error)).splitlines()[0]


def excerpt(value: object, most: int = 160) -> str:
    """An exception's message, or a text or value of a foreign file, in one line of limited length."""
    text = (str(value) or repr(value)) if isinstance(value, str | BaseException) else reprlib.repr(value)
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


def one_line(error: BaseException) -> str:
    """An exception's message in one line; for an `OSError` of the operating system, its path and its reason."""
    if is_memory_error(error):
        reason = f" ({excerpt(error)})" if str(error) else ""
        return f"too little memory{reason}; smaller batches, shorter windows or fewer workers take less"
    if isinstance(error, OSError) and error.strerror:
        return printable(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    return printable(" ".join(str(error).split()) or type(error).__name__)
