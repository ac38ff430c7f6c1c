"""Files of a folder of a user's media: found, read, and split so that nothing is in both splits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import scipy

from avssl.errors import InputError, MissingFileError, one_line
from avssl.io.hashing import cached_sha256

T = TypeVar("T")


@dataclass(frozen=True)
class Split(Generic[T]):
    """What scenes of the two splits are drawn from."""

    train: tuple[T, ...]
    test: tuple[T, ...]

    def of(self, test: bool) -> tuple[T, ...]:
        """Of the test split, or of the other."""
        return self.test if test else self.train


def find_files(folder: Path, suffixes: Collection[str], expected: str) -> list[Path]:
    """Files of a folder and its subfolders by suffix, sorted; hidden ones are left out.

    Args:
        folder: that is searched.
        suffixes: in lower case, with the dot.
        expected: what the folder is for, such as `a folder of backgrounds`, for the errors.

    Raises:
        InputError: no folder, or no such file in it.
    """
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: expected {expected}, got no folder")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise InputError(f"{folder}: expected {expected} ({', '.join(sorted(suffixes))}), found none")
    return found


def read_each(paths: Sequence[Path], read: Callable[[Path], T], failures: list[str]) -> list[tuple[Path, T]]:
    """Read files; those that cannot be read are listed and left out.

    Args:
        paths: of the files.
        read: raises InputError or OSError for a file that cannot be read.
        failures: takes one line for each of these.

    Raises:
        InputError: none can be read.
    """
    found: list[tuple[Path, T]] = []
    count = len(failures)
    for path in paths:
        try:
            found.append((path, read(path)))
        except (InputError, OSError) as error:
            failures.append(_named(path, error))
    if not found:
        raise InputError(f"none of {len(paths)} files can be read; the first: {failures[count]}")
    return found


def _named(path: Path, error: Exception) -> str:
    text = one_line(error)
    return text if str(path) in text else f"{path}: {text}"


def digest(folder: Path, paths: Sequence[Path]) -> str:
    """Identity of some files of a folder: their names in it and their contents."""
    contents = repr([(path.relative_to(folder).as_posix(), cached_sha256(path)) for path in paths])
    return hashlib.sha256(contents.encode()).hexdigest()[:16]


def groups(keys: Sequence[Collection[Hashable]]) -> list[int]:
    """Number of the group of each item: items that share a key, directly or by way of others, are one group."""
    known = {key: number for number, key in enumerate(dict.fromkeys(key for each in keys for key in each))}
    rows = [item for item, each in enumerate(keys) for _ in each]
    columns = [len(keys) + known[key] for each in keys for key in each]
    size = len(keys) + len(known)
    graph = scipy.sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    labels = scipy.sparse.csgraph.connected_components(graph, directed=False)[1][: len(keys)]
    first = {label: number for number, label in enumerate(dict.fromkeys(labels.tolist()))}
    return [first[label] for label in labels.tolist()]


class Splitter:
    """Decides which files only test scenes are made of; a file of several folders is in one split.

    Args:
        share: of the test scenes, 0..1; 0: no file, 1: all.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self._test: dict[str, bool] = {}

    def held_out(
        self, keys: Sequence[Collection[str]], hashes: Sequence[Collection[str]], rng: np.random.Generator, what: str
    ) -> list[bool]:
        """Whether each of some items is for test scenes: a share of the groups, at least one, not all.

        Args:
            keys: of each item, besides its hashes; items that share one are in one split.
            hashes: of the contents of each item's files.
            rng: where the randomness comes from.
            what: the items are, for the error.

        Raises:
            InputError: one group, and two splits.
        """
        found = groups([{*own, *hashed} for own, hashed in zip(keys, hashes, strict=True)])
        fixed = {
            group: self._test[each]
            for group, hashed in zip(found, hashes, strict=True)
            for each in hashed
            if each in self._test
        }
        test = self._draw(max(found) + 1, fixed, rng, what)
        self._test |= {each: group in test for group, hashed in zip(found, hashes, strict=True) for each in hashed}
        return [group in test for group in found]

    def keep(self, hashes: Sequence[Collection[str]]) -> None:
        """Keep files for training scenes."""
        self._test |= {each: False for hashed in hashes for each in hashed}

    def _draw(self, count: int, fixed: Mapping[int, bool], rng: np.random.Generator, what: str) -> set[int]:
        """Numbers of the groups for test scenes."""
        if self.share in (0, 1):
            return set(range(count)) if self.share else set()
        most = int(np.clip(round(self.share * count), 1, max(1, count - 1)))
        test = {group for group, tested in fixed.items() if tested}
        free = [group for group in rng.permutation(count).tolist() if group not in fixed]
        test |= set(free[: max(0, most - len(test))])
        if not 0 < len(test) < count:
            raise InputError(
                f"expected at least 2 {what}, one for each split, got {count}; add files, or set test_share to 0 or 1"
            )
        return test


def split_files(
    folder: Path, items: Sequence[tuple[Path, T]], splitter: Splitter, rng: np.random.Generator, what: str
) -> Split[T]:
    """Split by place and content: files of one subfolder, and copies of a file, stay together.

    Args:
        folder: that the files were found in.
        items: files, and what is drawn for them.
        splitter: decides.
        rng: where the randomness comes from.
        what: such as `backgrounds`, for the error.

    Raises:
        InputError: see `Splitter.held_out`.
    """
    base = Path(os.path.commonpath([path.parent for path, _ in items]))
    keys = [(path.relative_to(base).parts[0],) for path, _ in items]
    try:
        test = splitter.held_out(
            keys, [(cached_sha256(path),) for path, _ in items], rng, f"{what} (files, or subfolders)"
        )
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    return divided([item for _, item in items], test)


def divided(items: Sequence[T], test: Sequence[bool]) -> Split[T]:
    """Items by whether they are for test scenes."""
    return Split(
        *(tuple(each for each, tested in zip(items, test, strict=True) if tested == wanted) for wanted in (False, True))
    )
