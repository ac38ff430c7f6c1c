"""Clip filter: the clips of a manifest that a task or a generator can be trained on."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from avssl import __version__
from avssl.data.worker_loader import Batch, in_order
from avssl.datasets.manifest import Manifest, Row, Rows
from avssl.errors import InputError
from avssl.io.atomic import write_text
from avssl.io.cache_folder import cache_folder, writable_cache
from avssl.io.progress import track
from avssl.media import read_audio
from avssl.regular_files import read_json

MAX_CACHE = 2**28
"""Bytes of a cached result."""
AUDIO_CHECK_CLIPS = 96
"""Clips whose audio is checked, spread over the manifest; all clips, if one of these is rejected."""

logger = logging.getLogger(__name__)


class ClipFilter(Protocol):
    """Rejects clips: a pretext task, or a generator that is trained on them.

    A filter with a method `reject_audio_reason(audio: (channels, samples)) -> str` checks the audio too, since manifest
    rows may not say everything. It runs in loader processes, on the CPU; its results are cached under the filter's
    class, its source file and its `options`, so it may depend on nothing else.
    """

    def reject_reason(self, row: Row) -> str:
        """Why a clip cannot be used; empty if it can."""
        ...


def filter_clips(manifest: Manifest, clip_filter: ClipFilter, *, workers: int = 2) -> Manifest:
    """The clips that a filter does not reject; a warning for each reason says how many clips it rejects.

    Args:
        manifest: the clips.
        clip_filter: checks each row, and the audio if it has a `reject_audio_reason`.
        workers: loader processes that read the audio; 0: this one.

    Raises:
        InputError: all clips are rejected, or an audio file is broken.
        FileNotFoundError: an audio file is gone.
    """
    rejected = {row.key: reason for row in manifest if (reason := clip_filter.reject_reason(row))}
    accepted = _without(manifest.columns, rejected)
    if check := getattr(clip_filter, "reject_audio_reason", None):
        rejected |= _cached_audio_check(clip_filter, accepted, manifest.root, check, workers)
        accepted = _without(accepted, rejected)
    reasons = Counter(rejected.values()).most_common()
    if not len(accepted) and reasons:
        reason, times = reasons[0]
        raise InputError(
            f"{manifest.root}: all {len(manifest)} clips were rejected by the clip filter "
            f"(most common reason, {times} clips: {reason})"
        )
    for reason, times in reasons:
        logger.warning("%s: %d of %d clips were rejected: %s", manifest.root, times, len(manifest), reason)
    return replace(manifest, rows=accepted)


def _without(rows: Rows, rejected: Mapping[str, str]) -> Rows:
    """The rows whose keys are not rejected."""
    return rows.take(~rows.where("key", rejected)) if rejected else rows


def _cached_audio_check(
    clip_filter: ClipFilter, rows: Sequence[Row], root: Path, check: Callable[[Tensor], str], workers: int
) -> dict[str, str]:
    """Key -> reason of the clips whose audio is rejected, from the cache where it is there."""
    path = _cache_path(clip_filter, rows, root)
    if path is not None and (found := _read(path)) is not None:
        return found
    some = rows[:: max(1, -(-len(rows) // AUDIO_CHECK_CLIPS))]
    rejected = _check_audio(some, root, check, workers)
    if rejected and len(some) < len(rows):
        rejected = _check_audio(rows, root, check, workers)
    if path is not None:
        write_text(writable_cache(path.parent) / path.name, json.dumps(rejected, indent=0, ensure_ascii=False) + "\n")
    return rejected


def _check_audio(rows: Sequence[Row], root: Path, check: Callable[[Tensor], str], workers: int) -> dict[str, str]:
    batches = in_order(_AudioCheck(root, check), rows, workers)
    shown = track(batches, "check audio", "clips", len(rows), transient=True)
    reasons = {row.key: _text(batch["reason"]) for row, batch in zip(rows, shown, strict=True)}
    return {key: reason for key, reason in reasons.items() if reason}


@dataclass(frozen=True)
class _AudioCheck:
    """Reads the audio of a clip and checks it, in a loader process; the reason comes back as UTF-8."""

    root: Path
    check: Callable[[Tensor], str]

    def __call__(self, row: Row) -> Batch:
        reason = self.check(read_audio(self.root / row.audio, row.start, row.seconds)[0])
        return {"reason": torch.tensor(list(reason.encode()), dtype=torch.uint8)}


def _text(encoded: Tensor) -> str:
    return bytes(encoded.tolist()).decode()


def _cache_path(clip_filter: ClipFilter, rows: Sequence[Row], root: Path) -> Path | None:
    """Where the result is cached: keyed by class, its source, options, rows and audio files; None without a source."""
    kind = type(clip_filter)
    try:
        source = Path(str(sys.modules[kind.__module__].__file__)).read_bytes()
    except OSError:  # a class typed into an interpreter
        return None
    options: Any = getattr(clip_filter, "options", None)
    digest = hashlib.sha256(source)
    digest.update(repr((__version__, kind.__module__, kind.__qualname__, options, AUDIO_CHECK_CLIPS)).encode())
    identity = lru_cache(maxsize=None)(lambda name: _identity(root / name))  # many clips may share a file
    for row in rows:
        digest.update(repr((vars(row), *identity(row.audio))).encode("utf-8", "surrogateescape"))
    return cache_folder() / "clip_filter" / f"{digest.hexdigest()[:32]}.json"


def _identity(path: Path) -> tuple[str, int, int]:
    """Absolute path, bytes and time of change; a file that is gone is an error when it is read."""
    try:
        status = path.stat()
    except OSError:
        return str(path.absolute()), 0, 0
    return str(path.absolute()), status.st_size, status.st_mtime_ns


def _read(path: Path) -> dict[str, str] | None:
    """A cached result; None where there is none, or a broken one."""
    try:
        found = read_json(path, "a cached result in JSON", MAX_CACHE)
    except (OSError, ValueError):
        return None
    return {str(key): str(reason) for key, reason in found.items()} if isinstance(found, dict) else None
