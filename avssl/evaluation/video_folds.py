"""Folds of a manifest over videos: clips of one video are never on both sides of a split."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from avssl.datasets.manifest import Manifest, Row
from avssl.errors import InputError

logger = logging.getLogger(__name__)

COLUMNS = ("source", "key", "video", "audio", "split")
"""Columns of a manifest that may name a clip's video."""
LEAST_TEST_VIDEOS = 2
"""Videos of a fold: a mismatched pair takes the audio of another video."""
_NUMBERED = re.compile(r"(.+)[_-]\d+")
"""File names of clips that are numbered by their start, such as ID_40 or ID-40."""


@dataclass(frozen=True)
class Fold:
    """Training and test clips of one fold."""

    training: Manifest
    test: Manifest
    number: int
    """Of the fold in its partition, from 0."""


def video_of_clips(clips: Manifest, group_by: str = "source") -> dict[str, str]:
    r"""Name of the video that each clip is from.

    Args:
        clips: a manifest.
        group_by: a column of `COLUMNS`, where an empty `source` is the clip's key; or a regular expression that is
            searched in the file name of the recording (its column `source`) without suffix, of which the first group,
            or all that it matches, names the video.

    Returns:
        Key of a clip -> name of its video.

    Raises:
        InputError: an empty column, no regular expression, or one that does not match a clip or matches nothing of it.

    Example:
        `(.+)_\d+` makes clips `aieThfuvmtY_151` and `aieThfuvmtY_274` one video.
    """
    if group_by == "source":
        _warn_of_numbered_clips(clips)
        return {row.key: row.source or row.key for row in clips}
    if group_by in COLUMNS:
        return {row.key: _filled(row, group_by) for row in clips}
    pattern = _compiled(group_by)
    return {row.key: _matched(pattern, row, group_by) for row in clips}


def deal_folds(clips: Manifest, videos: dict[str, str], folds: int, seed: int) -> list[Fold]:
    """Random partition of the videos in folds that differ by one video at most.

    Args:
        clips: all clips.
        videos: key of a clip -> name of its video.
        folds: number of folds, each with its videos as test videos once.
        seed: of the partition.

    Raises:
        InputError: fewer than 2 folds, or fewer than 2 videos a fold.
    """
    names = sorted({videos[row.key] for row in clips})
    check_fold_count(clips, len(names), folds)
    order = np.random.default_rng((seed, folds)).permutation(len(names))
    found = []
    for fold in range(folds):
        test = {names[place] for place in order[fold::folds]}
        sides = [tuple(row for row in clips if (videos[row.key] in test) is side) for side in (False, True)]
        found.append(Fold(Manifest(sides[0], clips.root), Manifest(sides[1], clips.root), fold))
    return found


def check_fold_count(clips: Manifest, videos: int, folds: int) -> None:
    """Check that so many videos can be dealt into folds.

    Raises:
        InputError: they cannot.
    """
    if folds < 2:
        raise InputError(f"expected at least 2 folds, got {folds}")
    if videos < folds * LEAST_TEST_VIDEOS:
        most = videos // LEAST_TEST_VIDEOS
        advice = f"choose at most {most} folds" if most > 1 else "add clips of other videos"
        raise InputError(
            f"{clips.root}: expected at least {LEAST_TEST_VIDEOS} videos for each of {folds} folds, got {videos} "
            f"{'video' if videos == 1 else 'videos'} of {len(clips)} clips; {advice}"
        )


def _filled(row: Row, column: str) -> str:
    if not (name := str(getattr(row, column))):
        raise InputError(f"group-by: expected every clip to have a {column}, got none for {row.key!r}")
    return name


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        columns = ", ".join(COLUMNS)
        raise InputError(
            f"group-by: expected one of {columns}, or a regular expression, got {pattern!r}: {error}"
        ) from error


def _matched(pattern: re.Pattern[str], row: Row, group_by: str) -> str:
    stem = recording_stem(row)
    found = pattern.search(stem)
    name = (found.group(1) if pattern.groups else found.group()) if found else ""
    if not name:
        raise InputError(f"group-by: expected {group_by!r} to match the name of every recording, got {stem!r}")
    return name


def recording_stem(row: Row) -> str:
    """File name of a clip's recording, without suffix; the clip's key where the manifest names no recording."""
    return PurePosixPath(row.source).stem or row.key


def _warn_of_numbered_clips(clips: Manifest) -> None:
    """Warn where names of recordings differ in a last number only: they may be of one video."""
    stems = sorted({recording_stem(row) for row in clips})
    starts = Counter(found.group(1) for stem in stems if (found := _NUMBERED.fullmatch(stem)))
    if shared := [name for name, count in starts.items() if count > 1]:
        logger.warning(
            "%s: %d recordings are named %s and a number; if these are clips of one video, give --group-by '%s'",
            clips.root, starts[shared[0]], shared[0], _NUMBERED.pattern,
        )  # fmt: skip


def video_count(clips: Sequence[Row] | Manifest, videos: dict[str, str]) -> int:
    """Number of videos that clips are from."""
    return len({videos[row.key] for row in clips})
