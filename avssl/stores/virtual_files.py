"""Files of stores and members of shards: open for reading, with the status of a regular file."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from avssl.errors import InputError, MissingFileError
from avssl.stores.remote_store import object_info, read_range
from avssl.stores.span_cache import spans
from avssl.stores.virtual_paths import PackedPath, address_text, is_address, packed_parts

WHOLE = 4 * 2**20
"""Bytes of a file or sample up to which it is one read; of larger ones, blocks are read as they are needed."""
BLOCK = 2**20
"""Bytes of such a block."""
TAR_BLOCK = tarfile.BLOCKSIZE
Read = Callable[[int, int], bytes]
"""Bytes `first` to `last - 1` of a file."""


def open_virtual(path: Path) -> io.BufferedReader:
    """Open an object of a store or a member of a shard.

    Raises:
        MissingFileError: there is none.
        InputError: the store refuses or fails, or the shard is not what the manifest was written with.
    """
    read, size, _ = _located(path)
    return io.BufferedReader(_Spans(address_text(path), read, size), buffer_size=64 * 1024)


def virtual_status(path: Path) -> os.stat_result:
    """Status of such a file, with its size; inode and time of change are made of its version.

    Raises:
        MissingFileError: there is none.
        InputError: as `open_virtual`.
    """
    _, size, version = _located(path)
    number = crc32(f"{path} {version}".encode())
    times = {"st_mtime_ns": number * 10**9}
    return os.stat_result((stat.S_IFREG | 0o444, number, 0, 1, 0, 0, size, number, number, number), times)


class _Spans(io.RawIOBase):
    """A file that is read by ranges.

    Args:
        name: for libraries that ask.
        read: see `Read`; caches.
        size: bytes.
    """

    def __init__(self, name: str, read: Read, size: int) -> None:
        self.name, self._read, self._size, self._at = name, read, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        found = self._read(self._at, min(self._at + len(target), self._size)) if self._at < self._size else b""
        target[: len(found)] = found
        self._at += len(found)
        return len(found)


def _located(path: Path) -> tuple[Read, int, str]:
    """Reader, size and version of a file."""
    parts = packed_parts(path)
    if parts is None:
        base = _remote(path)
        return _kept(base, 0, base.size), base.size, base.version
    base = _remote(parts.shard) if is_address(parts.shard) else _local(parts.shard)
    if parts.first % TAR_BLOCK or parts.first + parts.length > base.size:
        raise InputError(
            f"{address_text(parts.shard)}: expected at least {parts.first + parts.length} bytes by the manifest, got "
            f"{base.size}; fetch or pack it again"
        )
    sample = _kept(base, parts.first, parts.length, parts.crc)
    begin, size = _member(sample, parts)
    return (lambda low, high: sample(begin + low, begin + high)), size, f"{base.version} {parts.first}"


@dataclass(frozen=True)
class _Base:
    """An object of a store, or a local shard."""

    name: str
    size: int
    version: str
    read: Read = field(compare=False)


def _remote(path: Path) -> _Base:
    info = object_info(path)
    return _Base(info.address, info.size, info.version, lambda first, last: read_range(info, first, last))


def _local(path: Path) -> _Base:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(f"{path}: expected a shard of packed clips, there is no such file") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: expected a shard of packed clips in a regular file, got something else")

    def read(first: int, last: int) -> bytes:
        with path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), last - first, first)

    return _Base(str(path), status.st_size, f"{status.st_ino} {status.st_mtime_ns}", read)


def _kept(base: _Base, first: int, length: int, crc: int | None = None) -> Read:
    """Reader of a part of a file, through the cache: a small part is one read, of a large one blocks are read.

    Raises:
        InputError: a small part has another checksum.
    """
    if length <= WHOLE:
        whole = spans.get((base, first, length), lambda: _checked(base, first, length, crc))
        return lambda low, high: whole[low:high]

    def read(low: int, high: int) -> bytes:
        begin = low // BLOCK * BLOCK
        end = min(begin + BLOCK, length)
        block = spans.get((base, first + begin, end - begin), lambda: base.read(first + begin, first + end))
        return block[low - begin : high - begin]  # a raw file may give less than it is asked for

    return read


def _checked(base: _Base, first: int, length: int, crc: int | None) -> bytes:
    whole = base.read(first, first + length)
    if crc is not None and crc32(whole) != crc:
        raise InputError(
            f"{base.name}: expected bytes {first} to {first + length} with checksum {crc:08x} by the manifest, got "
            f"{crc32(whole):08x}; the shard is spoiled or of another manifest: fetch or pack it again"
        )
    return whole


def _member(sample: Read, parts: PackedPath) -> tuple[int, int]:
    """First byte and size of a member among those of a sample, by their tar headers."""
    at = 0
    while at + TAR_BLOCK <= parts.length:
        try:
            header = tarfile.TarInfo.frombuf(sample(at, at + TAR_BLOCK), "utf-8", "strict")
        except tarfile.HeaderError:
            break
        if header.name == parts.name and at + TAR_BLOCK + header.size <= parts.length:
            return at + TAR_BLOCK, header.size
        at += TAR_BLOCK + -(-header.size // TAR_BLOCK) * TAR_BLOCK
    raise InputError(
        f"{address_text(parts.shard)}: expected {parts.name!r} where the manifest says, found something else; the "
        "shard is spoiled or of another manifest: fetch or pack it again"
    )
