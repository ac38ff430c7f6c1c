"""Objects of every clip of a manifest: looked for once, kept beside it."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from avssl.data.detectors import Detector, load_detector
from avssl.data.findings import Findings
from avssl.data.looking import WAYS, Shown, Sighting, look, rows_for, show
from avssl.data.manifest import Row, read_manifest
from avssl.data.media import iterate_frames
from avssl.data.objects import About, Looked, objects_path
from avssl.data.panoramas import Panorama, panoramas
from avssl.data.pool import cores
from avssl.data.truth import TRUTH, objects_of_world
from avssl.plugins import hint

TOGETHER = {"viewports": 4, "equirect": 16}
"""Instants that are shown at once."""
THREADS = 4
"""At most, that read frames ahead of the detector: each holds some 50 MB of views."""


Clip = tuple[Row, Looked, list[Sighting]]
"""Which clip, where it was looked at, and what was seen at each of these instants."""


@dataclass(frozen=True)
class Piece:
    """Some instants of a clip, or all."""

    row: Row
    panorama: Panorama
    looked: Looked
    first: int
    """Of the clip's instants."""
    times: tuple[float, ...]
    """Seconds from the clip's beginning."""

    @property
    def ends(self) -> bool:
        """Nothing of the clip follows."""
        return self.first + len(self.times) == self.looked.frames


def detect(
    folder: Path,
    model: str,
    *,
    rate: float = 2.0,
    views: str | None = None,
    least_score: float = 0.25,
    progress: bool = True,
) -> Path:
    """Look for objects in the clips of a manifest and write `objects-<model>.parquet` beside it.

    Recordings that the clips were prepared from are looked at where they are still there, being larger; else the
    proxies. What an earlier, interrupted run of the same model found is kept; clips that are new are added.

    Args:
        folder: holds `manifest.parquet`.
        model: a path, `torchvision/NAME:PATH`, or `truth` of a made-up world.
        rate: frames looked at a second.
        views: viewports (overlapping views of a camera, and the whole frame), equirect (the whole frame alone), or
            None: what suits the detector.
        least_score: objects of a lower score are left out.
        progress: whether a bar shows how far it is.

    Returns:
        The parquet file; `objects.read(folder, model)` reads it. Beside it lies a picture of what was found.

    Raises:
        ValueError: no such model, one that cannot be read, clips that are no panoramas, or the folder holds another
            model's objects of that name.
        OSError: the files cannot be written.
    """
    _check(rate, views, least_score)
    manifest = read_manifest(folder)
    if model == TRUTH:
        return objects_of_world(manifest, least_score)
    places = panoramas(manifest)
    detector = load_detector(model)
    about = About(f"{detector.name} sha256:{detector.sha256}", views or detector.views, rate, least_score)
    with Findings(objects_path(manifest.root, model), manifest, about) as findings:
        pieces = [piece for row in findings.missing() for piece in _pieces(row, places[row.key], rate, about.views)]
        for row, looked, sightings in _shown(_found(detector, pieces, about), len(findings.missing()), progress):
            findings.add(row, looked, sightings)
        return findings.write(places)


def instants(seconds: float, rate: float) -> Looked:
    """The instants of a clip to look at, evenly spread; at least one.

    Args:
        seconds: length of the clip.
        rate: instants a second; a clip may get up to half an instant less or more.
    """
    count = max(1, round(seconds * rate))
    return Looked(count, seconds / count, 0.5)


def _pieces(row: Row, panorama: Panorama, rate: float, ways: str) -> Iterator[Piece]:
    looked = instants(row.seconds, rate)
    times = looked.times().tolist()
    for first in range(0, looked.frames, TOGETHER[ways]):
        yield Piece(row, panorama, looked, first, tuple(times[first : first + TOGETHER[ways]]))


def _found(detector: Detector, pieces: Sequence[Piece], about: About) -> Iterator[Clip]:
    """Each clip with what is seen at its instants; frames are read ahead while the detector works."""

    def read(piece: Piece) -> Shown:
        rows = rows_for(detector.side, piece.panorama.rows, about.views)
        times = [piece.panorama.start + time for time in piece.times]
        frames = iterate_frames(piece.panorama.path, times, (rows, 2 * rows), piece.panorama.stream)
        wholes, views = zip(*(show(frame, detector.side, about.views) for frame in frames), strict=True)
        return Shown(np.stack(wholes), np.stack(views))

    sightings: list[Sighting] = []
    for piece, shown in _ahead(read, pieces):
        sightings += look(detector, shown, about.least_score)
        if piece.ends:
            yield piece.row, piece.looked, sightings
            sightings = []


def _ahead(read: Callable[[Piece], Shown], pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Shown]]:
    """Pieces in order with what `read` gives for them, read by threads, few at a time."""
    threads = min(THREADS, cores())
    waiting: deque[tuple[Piece, Future[Shown]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="frames")
    try:
        for piece in pieces:
            waiting.append((piece, pool.submit(read, piece)))
            if len(waiting) > threads:
                begun, future = waiting.popleft()
                yield begun, future.result()
        for begun, future in waiting:
            yield begun, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _shown(results: Iterator[Clip], clips: int, progress: bool) -> Iterator[Clip]:
    """The results, as a bar counts them."""
    texts = [TextColumn("{task.fields[objects]} objects"), TextColumn("{task.fields[speed]:.2f} clips/s")]
    columns = (TextColumn("detect"), BarColumn(), MofNCompleteColumn(), *texts, TimeRemainingColumn())
    begin, objects = time.perf_counter(), 0
    with Progress(*columns, console=Console(stderr=True, quiet=not progress), disable=not clips) as bar:
        task = bar.add_task("detect", total=clips, objects=0, speed=0.0)
        for done, result in enumerate(results, 1):
            objects += sum(len(sighting.scores) for sighting in result[2])
            speed = done / (time.perf_counter() - begin)
            bar.update(task, completed=done, objects=objects, speed=speed)
            yield result


def _check(rate: float, views: str | None, least_score: float) -> None:
    if not 0 < rate < math.inf:
        raise ValueError(f"rate is above 0, not {rate}")
    if views is not None and views not in WAYS:
        raise ValueError(f"views are {' or '.join(WAYS)}, not {views!r}{hint(views, WAYS)}")
    if not 0 < least_score < 1:
        raise ValueError(f"least_score lies between 0 and 1, not {least_score}")
