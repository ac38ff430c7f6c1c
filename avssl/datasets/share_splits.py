"""Splits of a folder of one's own by shares: deterministic by the name of a group, so that new files move no others."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from avssl.datasets.dataset import Dataset, Recording
from avssl.errors import InputError

SPLITS = {2: ("train", "test"), 3: ("train", "val", "test")}
"""Number of shares -> their splits."""
_SHARES = re.compile(r"[-+.\d]+(e[-+]?\d+)?(/[-+.\d]+(e[-+]?\d+)?)+")
_NUMBERED = re.compile(r"(?:[-_. ]\d+){1,2}$")
"""Start, or start and end, of a clip behind the name of what it was cut from."""


def parse_shares(text: str) -> tuple[float, ...] | None:
    """Shares of the splits train, val and test, or of train and test; None of a text that is no shares.

    Args:
        text: such as 0.8/0.1/0.1 or 0.8/0.2.

    Raises:
        InputError: another number of shares, a negative one, no training or test share, or a sum that is not 1.
    """
    if not _SHARES.fullmatch(text):
        return None
    try:
        shares = tuple(float(each) for each in text.split("/"))
    except ValueError:
        return None
    if (
        len(shares) not in SPLITS
        or min(shares) < 0
        or not (shares[0] and shares[-1])
        or not math.isclose(sum(shares), 1, abs_tol=1e-6)
    ):
        raise InputError(f"--split: expected shares train/val/test or train/test whose sum is 1, got {text}")
    return shares


def split_by_shares(dataset: Dataset, shares: Sequence[float], group_by: str = "source") -> Dataset:
    """Dataset whose recordings are split by shares; no group is in two splits.

    Args:
        dataset: recordings without splits.
        shares: as from `parse_shares`.
        group_by: see `group_name`.

    Returns:
        The dataset with splits and groups.

    Raises:
        InputError: the recordings have splits already, a name does not match, or a split with a share stays empty.
    """
    if split := [each.key for each in dataset.recordings if each.split]:
        raise InputError(
            f"{dataset.root}: expected recordings without splits for --split by shares, {split[0]!r} has one by the "
            "data set's lists; leave --split out"
        )
    name = group_name(group_by)
    names = [name(each) for each in dataset.recordings]
    found = tuple(
        replace(each, group=group, split=_split(group, shares))
        for each, group in zip(dataset.recordings, names, strict=True)
    )
    _check_filled(dataset, found, shares, group_by)
    return replace(dataset, recordings=found)


def group_name(group_by: str) -> Callable[[Recording], str]:
    """Function from a recording to the name of its group.

    Args:
        group_by: `source`: the data set's group, else the file name without numbers at its end (`ID_40` and `ID_50` are
            of `ID`); `clip`: each file by itself; `folder`: files of one folder; or a regular expression with a group
            in parentheses, which is searched in the path without suffix.

    Raises:
        InputError: another name, a broken expression, or one without a group.
    """
    kinds: dict[str, Callable[[Recording], str]] = {
        "source": lambda each: each.group or _NUMBERED.sub("", _stem(each).name) or _stem(each).name,
        "clip": lambda each: str(_stem(each)),
        "folder": lambda each: str(_stem(each).parent),
    }
    if group_by in kinds:
        return kinds[group_by]
    wrong = f"--group-by: expected source, clip, folder or a regular expression with a group (...), got {group_by!r}"
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise InputError(f"{wrong}: {error}") from error
    if not pattern.groups:
        raise InputError(wrong)
    return lambda each: _searched(pattern, str(_stem(each)))


def _stem(recording: Recording) -> PurePosixPath:
    return PurePosixPath(recording.video or recording.audio).with_suffix("")


def _searched(pattern: re.Pattern[str], path: str) -> str:
    found = pattern.search(path)
    if found is None or found[1] is None:
        raise InputError(f"--group-by: expected a group of {pattern.pattern!r} in every name, got none in {path!r}")
    return found[1]


def _split(group: str, shares: Sequence[float]) -> str:
    """Split of a group by the place of its hash between 0 and 1."""
    digest = hashlib.sha256(group.encode("utf-8", "surrogateescape")).digest()
    place, names = int.from_bytes(digest[:8], "big") / 2**64, SPLITS[len(shares)]
    ends = [sum(shares[: index + 1]) for index in range(len(shares) - 1)]
    return next((name for name, end in zip(names, ends, strict=False) if place < end), names[-1])


def _check_filled(dataset: Dataset, found: Sequence[Recording], shares: Sequence[float], group_by: str) -> None:
    filled, groups = {each.split for each in found}, len({each.group for each in found})
    wanted = [name for name, share in zip(SPLITS[len(shares)], shares, strict=True) if share]
    if empty := [name for name in wanted if name not in filled]:
        raise InputError(
            f"{dataset.root}: expected recordings in every split of --split, got none in {' and '.join(empty)} of "
            f"{groups} groups (--group-by {group_by}); give larger shares, more recordings or another --group-by"
        )
