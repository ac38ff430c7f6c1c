"""Detect objects in every clip of a manifest and store them beside it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq

from avssl.datasets.manifest import Manifest, Row, read_manifest
from avssl.detection.backends import Detector, load_detector
from avssl.detection.clip_detection import Clip, ClipDetection
from avssl.detection.detection_journal import DetectionJournal
from avssl.detection.frame_source import FRAMES, ORIGINAL, PROXY, Panoramas, lost_recordings
from avssl.detection.ground_truth import TRUTH, write_ground_truth_objects
from avssl.detection.object_index import DetectionSettings, objects_path, read_settings
from avssl.detection.prefetch import FrameBatch, frame_batches, read_ahead
from avssl.detection.tiling import VIEW_MODES, DetectorInput, SphereDetections, detect_frames
from avssl.errors import InputError, is_input_error
from avssl.io.folder_lock import file_lock
from avssl.io.process_pool import has_other_pool, outcomes
from avssl.io.progress import ProgressBar
from avssl.plugins import hint

logger = logging.getLogger(__name__)
NAMED = {ORIGINAL: "original recordings", PROXY: "proxies"}
OnError = Callable[[Row, Exception], object]


def detect_objects(
    folder: Path,
    model: str,
    *,
    rate: float = 2.0,
    views: str | None = None,
    min_score: float = 0.25,
    frames: str | None = None,
    progress: bool = True,
    on_error: OnError | None = None,
) -> Path:
    """Detect objects in the clips of a manifest and write `objects-<model>-<hash>.parquet` beside it.

    Results of an earlier, interrupted run of the same weights are reused; new clips are added.

    Args:
        folder: holds `manifest.parquet`.
        model: a path, `torchvision/NAME:PATH`, or `truth` (annotations of a synthetic dataset).
        rate: frames per second in which objects are detected.
        views: viewports (overlapping views of a camera, and the whole frame), equirect (the whole frame alone), or
            None: by the detector.
        min_score: lowest score of detections.
        frames: original (the recordings that the clips were prepared from, which are larger), proxy, or None: as in the
            existing file of these weights; else original where all recordings exist.
        progress: show a progress bar.
        on_error: called with each clip whose video cannot be read and its error, the clip is left out; None: the first
            error is raised.

    Returns:
        The parquet file; `objects.read(folder, model)` reads it. A JPEG preview of detections is written beside it.

    Raises:
        InputError: no such model, one that cannot be read, clips that are not equirectangular, a missing original
            recording, no clip can be read, or the folder holds objects of these weights that were detected with other
            settings, or that another process detects.
        OSError: the files cannot be written.
    """
    _check(rate, views, min_score, frames)
    manifest = read_manifest(folder)
    if model == TRUTH:
        with file_lock(objects_path(manifest.root, TRUTH)):
            return _warn_if_empty(write_ground_truth_objects(manifest, min_score))
    detector = load_detector(model)
    path = objects_path(manifest.root, model, detector.sha256)
    panoramas = Panoramas(manifest, frames or _frames(path, manifest))
    logger.info("%s: objects are detected in %s", path, NAMED[panoramas.frames])
    name = f"{detector.name} sha256:{detector.sha256}"
    detection_settings = DetectionSettings(name, views or detector.views, rate, min_score, panoramas.frames)
    with file_lock(path), DetectionJournal(path, manifest, detection_settings) as journal:
        missing = journal.missing()
        whole = ClipDetection(model, panoramas, rate, detection_settings.views, min_score)
        with closing(_found(missing, detector, whole, on_error or _raise)) as found:
            for row, detected_times, detections in _shown(found, len(missing), progress):
                journal.note(row, detected_times, detections)
        return _warn_if_empty(journal.write(panoramas))


def _frames(path: Path, manifest: Manifest) -> str:
    """Frame source of the existing file; else originals if all exist."""
    if path.is_file():
        return read_settings(path)[0].frames
    lost = lost_recordings(manifest)
    if 0 < lost < len(manifest):
        logger.warning("%s: %d of %d original recordings are missing, proxies are used", path, lost, len(manifest))
    return PROXY if lost or not len(manifest) else ORIGINAL


def _warn_if_empty(path: Path) -> Path:
    """Return the file; warn where no clip has objects, since guided crops are random then."""
    with path.open("rb") as file:
        empty = not pq.ParquetFile(file).metadata.num_rows
    if empty:
        logger.warning("%s: no objects in any clip; crops guided by them are random", path)
    return path


def _raise(_: Row, error: Exception) -> None:
    raise error


def _found(
    missing: Sequence[Row], detector: Detector, whole: ClipDetection, on_error: OnError
) -> Generator[Clip, None, None]:
    """Each clip that can be read with its detections: here, or a clip at a time where the jobs of commands are done."""
    if not has_other_pool():
        batches = frame_batches(missing, whole.rate, whole.views)
        with closing(read_ahead(batches, whole.panoramas, detector.side, whole.views)) as read:
            yield from _detected(detector, read, whole.min_score, on_error)
        return
    with closing(outcomes(whole, missing, len(missing))) as results:
        for row, outcome in results:
            if not isinstance(outcome, BaseException):
                yield outcome
            elif isinstance(outcome, Exception) and is_input_error(outcome):
                on_error(row, outcome)
            else:
                raise outcome


def _detected(
    detector: Detector,
    read: Iterator[tuple[FrameBatch, DetectorInput | BaseException]],
    min_score: float,
    on_error: OnError,
) -> Iterator[Clip]:
    """Each clip that can be read with the detections at its detection times."""
    detections: list[SphereDetections] = []
    failed = ""
    for batch, shown in read:
        if isinstance(shown, BaseException) and not is_input_error(shown):
            raise shown
        if isinstance(shown, Exception) and failed != batch.row.key:
            failed = batch.row.key
            on_error(batch.row, shown)
        if isinstance(shown, DetectorInput) and failed != batch.row.key:
            detections += detect_frames(detector, shown, min_score)
        if batch.ends and failed != batch.row.key:
            yield batch.row, batch.detected_times, detections
        detections = [] if batch.ends else detections


def _shown(results: Iterator[Clip], clips: int, progress: bool) -> Iterator[Clip]:
    """Results, with a progress bar."""
    numbers, objects = ("{objects} objects", "{rate:.2f} clips/s"), 0
    shown = progress and clips > 0
    with ProgressBar("detect", clips, "clips", numbers=numbers, shown=shown) as bar:
        for result in results:
            objects += sum(len(detection.scores) for detection in result[2])
            bar.advance(objects=objects)
            yield result


def _check(rate: float, views: str | None, min_score: float, frames: str | None) -> None:
    if not 0 < rate < math.inf:
        raise InputError(f"rate is above 0, not {rate}")
    if views is not None and views not in VIEW_MODES:
        raise InputError(f"views are {' or '.join(VIEW_MODES)}, not {views!r}{hint(views, VIEW_MODES)}")
    if not 0 < min_score < 1:
        raise InputError(f"min_score lies between 0 and 1, not {min_score}")
    if frames is not None and frames not in FRAMES:
        raise InputError(f"frames are {' or '.join(FRAMES)}, not {frames!r}{hint(frames, FRAMES)}")
