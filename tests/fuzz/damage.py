"""Ten ways to damage the bytes of a file."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

Generator = np.random.Generator
HEAD = 512
"""Bytes that count as the header."""
NAMES = re.compile(
    rb"ftyp|moov|trak|mdia|minf|stbl|stsd|stts|stsc|stsz|stco|ctts|mdat|mvhd|tkhd|mdhd|hdlr|esds|SA3D|chan|avcC|edts|elst"
    rb"|RIFF|RF64|ds64|fmt |data|LIST|hdrl|strh|strf|movi|idx1|riff|desc|pakt|FORM|COMM|SSND|fact|IHDR|IDAT|PLTE"
)
"""Names of the boxes and chunks of ISO base media, RIFF, Wave64, CAF, AIFF and PNG: their sizes stand beside them."""
SIZES = (0, 1, 7, 8, 9, 16, 255, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 8, 2**32 - 1)


def truncate(data: bytes, rng: Generator) -> bytes:
    """Cut off the end, at a random place."""
    return data[: rng.integers(0, len(data))]


def zero_block(data: bytes, rng: Generator) -> bytes:
    """Overwrite a block with zeros."""
    start, length = _block(data, rng)
    return data[:start] + bytes(length) + data[start + length :]


def flip_bits(data: bytes, rng: Generator) -> bytes:
    """Flip 1 to 64 bits anywhere."""
    return _flipped(data, rng, len(data))


def flip_header_bits(data: bytes, rng: Generator) -> bytes:
    """Flip 1 to 64 bits in the header."""
    return _flipped(data, rng, min(HEAD, len(data)))


def duplicate_block(data: bytes, rng: Generator) -> bytes:
    """Write a block twice."""
    start, length = _block(data, rng)
    return data[: start + length] + data[start:]


def swap_blocks(data: bytes, rng: Generator) -> bytes:
    """Exchange two blocks of one length."""
    length = int(rng.integers(1, max(2, len(data) // 3)))
    first = int(rng.integers(0, max(1, len(data) - 2 * length)))
    second = int(rng.integers(first + length, max(first + length + 1, len(data) - length + 1)))
    one, other = data[first : first + length], data[second : second + length]
    return data[:first] + other + data[first + length : second] + one + data[second + length :]


def insert_block(data: bytes, rng: Generator) -> bytes:
    """Insert random bytes."""
    start, length = _block(data, rng)
    return data[:start] + rng.bytes(length) + data[start:]


def remove_block(data: bytes, rng: Generator) -> bytes:
    """Leave out a block."""
    start, length = _block(data, rng)
    return data[:start] + data[start + length :]


def change_sizes(data: bytes, rng: Generator) -> bytes:
    """Let one to three boxes or chunks state another size; four bytes of the header where a format has neither."""
    spots = [place for each in NAMES.finditer(data) for place in (each.start() - 4, each.end()) if place >= 0]
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.choice(spots) if spots else rng.integers(0, min(HEAD, len(data))))
        order = "little" if rng.random() < 0.5 else "big"
        changed[place : place + 4] = int(rng.choice(SIZES)).to_bytes(4, order)
    return bytes(changed)


def randomise(data: bytes, rng: Generator) -> bytes:
    """Overwrite a block with random bytes."""
    start, length = _block(data, rng)
    return data[:start] + rng.bytes(length) + data[start + length :]


WAYS: tuple[Callable[[bytes, Generator], bytes], ...] = (
    truncate, zero_block, flip_bits, flip_header_bits, duplicate_block, swap_blocks, insert_block, remove_block,
    change_sizes, randomise,
)  # fmt: skip


def _block(data: bytes, rng: Generator) -> tuple[int, int]:
    """Start and length of a block; as often short as long."""
    length = min(len(data), int(2 ** rng.uniform(0, np.log2(max(2, len(data) / 2)))))
    return int(rng.integers(0, len(data) - length + 1)), length


def _flipped(data: bytes, rng: Generator, end: int) -> bytes:
    changed = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(0, end, rng.integers(1, 65))
    np.bitwise_xor.at(changed, places, (1 << rng.integers(0, 8, len(places))).astype(np.uint8))
    return changed.tobytes()
