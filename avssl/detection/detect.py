"""Objects of every clip of a manifest: looked for once, kept beside it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from avssl.datasets.manifest import Row, read_manifest
from avssl.detection.backends import Detector, load_detector
from avssl.detection.findings import DetectionJournal
from avssl.detection.frame_source import Panoramas
from avssl.detection.ground_truth import TRUTH, objects_of_world
from avssl.detection.object_index import DetectedTimes, DetectionSettings, objects_path
from avssl.detection.prefetch import FrameBatch, frame_batches, read_ahead
from avssl.detection.tiling import VIEW_MODES, DetectorInput, SphereDetections, detect_frames
from avssl.errors import InputError
from avssl.plugins import hint

Clip = tuple[Row, DetectedTimes, list[SphereDetections]]
"""Which clip, where it was looked at, and what was seen at each of these instants."""


def detect_objects(
    folder: Path,
    model: str,
    *,
    rate: float = 2.0,
    views: str | None = None,
    min_score: float = 0.25,
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
        min_score: objects of a lower score are left out.
        progress: whether a bar shows how far it is.

    Returns:
        The parquet file; `objects.read(folder, model)` reads it. Beside it lies a picture of what was found.

    Raises:
        InputError: no such model, one that cannot be read, clips that are no panoramas, or the folder holds another
            model's objects of that name.
        OSError: the files cannot be written.
    """
    _check(rate, views, min_score)
    manifest = read_manifest(folder)
    if model == TRUTH:
        return _said(objects_of_world(manifest, min_score))
    panoramas = Panoramas(manifest)
    detector = load_detector(model)
    about = DetectionSettings(f"{detector.name} sha256:{detector.sha256}", views or detector.views, rate, min_score)
    with DetectionJournal(objects_path(manifest.root, model), manifest, about) as findings:
        missing = findings.missing()
        read = read_ahead(frame_batches(missing, rate, about.views), panoramas, detector.side, about.views)
        for row, looked, sightings in _shown(_found(detector, read, min_score), len(missing), progress):
            findings.add(row, looked, sightings)
        return _said(findings.write(panoramas))


def _said(path: Path) -> Path:
    """The file, and a warning where nothing was found in any clip: crops that it guides are random ones."""
    if not pq.ParquetFile(path).metadata.num_rows:
        warnings.warn(f"{path}: no objects in any clip; crops guided by them are random", stacklevel=3)
    return path


def _found(detector: Detector, read: Iterator[tuple[FrameBatch, DetectorInput]], min_score: float) -> Iterator[Clip]:
    """Each clip with what is seen at its instants."""
    sightings: list[SphereDetections] = []
    for piece, shown in read:
        sightings += detect_frames(detector, shown, min_score)
        if piece.ends:
            yield piece.row, piece.looked, sightings
            sightings = []


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


def _check(rate: float, views: str | None, min_score: float) -> None:
    if not 0 < rate < math.inf:
        raise InputError(f"rate is above 0, not {rate}")
    if views is not None and views not in VIEW_MODES:
        raise InputError(f"views are {' or '.join(VIEW_MODES)}, not {views!r}{hint(views, VIEW_MODES)}")
    if not 0 < min_score < 1:
        raise InputError(f"min_score lies between 0 and 1, not {min_score}")
