"""Ranged reads of objects through fsspec: retried, complete or an error of one line."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from avssl.errors import InputError, MissingFileError, excerpt
from avssl.stores.virtual_paths import address_text

T = TypeVar("T")
TRIES = 5
FIRST_WAIT = 0.2
"""Seconds before the second try; each later wait is twice as long."""
DRIVERS = {"s3": "stores", "http": "stores", "https": "stores", "gs": "gs"}
"""Scheme -> extra with its driver."""
CONNECT, SILENCE = 10.0, 30.0
"""Seconds for a server to take a connection, and between two of its packets."""
INFOS = 65536
"""Objects whose size is remembered: it is asked for once in a process."""


@dataclass(frozen=True)
class ObjectInfo:
    """What a store says of an object."""

    address: str
    size: int
    """Bytes."""
    version: str
    """Changes with the content: entity tag or time of change; may be empty."""


@lru_cache(maxsize=INFOS)
def object_info(path: Path) -> ObjectInfo:
    """Size and version of an object, which is taken to stay as it is for the time of a command.

    Raises:
        MissingFileError: there is none.
        InputError: the store refuses or fails.
    """
    address = address_text(path)
    store = _store(address)
    found: dict[str, Any] = _tried(address, lambda: store.info(address))
    if found.get("type") == "directory":
        raise MissingFileError(f"{address}: expected a file, got a folder")
    if found.get("size") is None:
        raise InputError(f"{address}: expected a store that says how long its files are, this does not; copy the files")
    versions = (found.get(name) for name in ("ETag", "etag", "generation", "mtime", "LastModified"))
    return ObjectInfo(address, int(found["size"]), str(next((each for each in versions if each), "")))


def read_range(info: ObjectInfo, first: int, last: int) -> bytes:
    """Bytes `first` to `last - 1` of an object: all of them, or an error.

    Raises:
        InputError: the store refuses, fails, breaks off at every try, or does not serve ranges.
    """
    store = _store(info.address)

    def read() -> bytes:
        found: bytes = store.cat_file(info.address, start=first, end=last)
        if len(found) > last - first:
            raise InputError(
                f"{info.address}: expected a store that serves ranges of bytes (HTTP Range), got the whole file; use "
                "another server, or copy the files"
            )
        if len(found) < last - first:
            raise ConnectionError(f"{len(found)} of {last - first} bytes came")
        return found

    return _tried(info.address, read) if last > first else b""


def list_objects(path: Path) -> list[Path]:
    """Paths of all objects below a folder of a store, sorted.

    Raises:
        MissingFileError: there is no such folder.
        InputError: the store refuses, fails or has no lists.
    """
    address = address_text(path)
    store = _store(address)
    scheme = address.partition("://")[0]
    names = _tried(address, lambda: store.find(address))
    if not names:
        raise MissingFileError(f"{address}: expected a folder with files, found none")
    return sorted(Path(name if "://" in name else f"{scheme}://{name.lstrip('/')}") for name in names)


def _store(address: str) -> Any:
    """The file system of an address; of this process, since connections do not outlive a fork."""
    return _opened_store(address.partition("://")[0], os.getpid())


@lru_cache(maxsize=8)
def _opened_store(scheme: str, process: int) -> Any:
    import fsspec

    settings: dict[str, Any] = {}
    try:
        if scheme in ("http", "https"):
            from aiohttp import ClientTimeout

            settings["client_kwargs"] = {"timeout": ClientTimeout(sock_connect=CONNECT, sock_read=SILENCE)}
        return fsspec.filesystem(scheme, **settings)
    except ImportError as error:
        extra = DRIVERS.get(scheme, "stores")
        raise InputError(f"expected the driver of {scheme}:// addresses; pip install 'avssl[{extra}]'") from error


def _tried(address: str, work: Callable[[], T]) -> T:
    """Result of some work, tried again with growing waits where the store or the network fails."""
    for number in range(TRIES):
        try:
            return work()
        except InputError:
            raise
        except Exception as failed:  # every driver has its own
            error = _cause(failed)
            if refusal := _refusal(address, error):
                raise refusal from failed
            if number == TRIES - 1:
                reason = excerpt(error) if str(error) else type(error).__name__
                raise InputError(
                    f"{address}: expected {TRIES} tries to be enough, the store failed at each ({reason}); nothing of "
                    "the file is used; try again later"
                ) from failed
            time.sleep(FIRST_WAIT * 2**number)
    raise AssertionError


def _cause(error: BaseException) -> BaseException:
    """The error of the connection, which fsspec's HTTP driver hides behind a `FileNotFoundError`."""
    return error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error


def _refusal(address: str, error: BaseException) -> InputError | None:
    """The error for an answer that another try would not change; None for failures of a moment."""
    status = getattr(error, "status", None)
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return MissingFileError(f"{address}: expected a file, the store has none (404)")
    if isinstance(error, PermissionError) or status in (401, 403) or type(error).__name__ == "NoCredentialsError":
        return InputError(
            f"{address}: the store refuses access ({status or 403}: {excerpt(error)}); give it credentials, such as "
            "AWS_PROFILE, or rights"
        )
    if isinstance(status, int) and 400 <= status < 500 and status not in (408, 425, 429):
        return InputError(f"{address}: expected a file, the store answers {status} ({excerpt(error)})")
    return None
