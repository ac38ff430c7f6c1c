"""Objects of every clip of a manifest: looked for once, kept beside it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from avssl.datasets.manifest import Manifest, Row, read_manifest
from avssl.detection.backends import Detector, load_detector
from avssl.detection.detection_journal import DetectionJournal
from avssl.detection.frame_source import FRAMES, ORIGINAL, PROXY, Panoramas, lost_recordings
from avssl.detection.ground_truth import TRUTH, objects_of_world
from avssl.detection.object_index import DetectedTimes, DetectionSettings, objects_path, read_settings
from avssl.detection.prefetch import FrameBatch, frame_batches, read_ahead
from avssl.detection.tiling import VIEW_MODES, DetectorInput, SphereDetections, detect_frames
from avssl.errors import InputError
from avssl.io.progress import SECONDS_BETWEEN_LINES, ProgressBar
from avssl.plugins import hint

logger = logging.getLogger(__name__)
NAMED = {ORIGINAL: "original recordings", PROXY: "proxies"}
Clip = tuple[Row, DetectedTimes, list[SphereDetections]]
"""Which clip, where it was looked at, and what was seen at each of these instants."""


def detect_objects(
    folder: Path,
    model: str,
    *,
    rate: float = 2.0,
    views: str | None = None,
    min_score: float = 0.25,
    frames: str | None = None,
    progress: bool = True,
) -> Path:
    """Look for objects in the clips of a manifest and write `objects-<model>-<hash>.parquet` beside it.

    What an earlier, interrupted run of the same weights found is kept; clips that are new are added.

    Args:
        folder: holds `manifest.parquet`.
        model: a path, `torchvision/NAME:PATH`, or `truth` of a made-up world.
        rate: frames looked at a second.
        views: viewports (overlapping views of a camera, and the whole frame), equirect (the whole frame alone), or
            None: what suits the detector.
        min_score: objects of a lower score are left out.
        frames: original (the recordings that the clips were prepared from, which are larger), proxy, or None: as the
            file of these weights has it; else original where all recordings are there.
        progress: whether a bar shows how far it is.

    Returns:
        The parquet file; `objects.read(folder, model)` reads it. Beside it lies a picture of what was found.

    Raises:
        InputError: no such model, one that cannot be read, clips that are no panoramas, an original recording that is
            not there, or the folder holds objects of these weights that were detected with other settings.
        OSError: the files cannot be written.
    """
    _check(rate, views, min_score, frames)
    manifest = read_manifest(folder)
    if model == TRUTH:
        return _said(objects_of_world(manifest, min_score))
    detector = load_detector(model)
    path = objects_path(manifest.root, model, detector.sha256)
    panoramas = Panoramas(manifest, frames or _frames(path, manifest))
    logger.info("%s: objects are detected in %s", path, NAMED[panoramas.frames])
    name = f"{detector.name} sha256:{detector.sha256}"
    about = DetectionSettings(name, views or detector.views, rate, min_score, panoramas.frames)
    with DetectionJournal(path, manifest, about) as findings:
        missing = findings.missing()
        read = read_ahead(frame_batches(missing, rate, about.views), panoramas, detector.side, about.views)
        for row, looked, sightings in _shown(_found(detector, read, min_score), len(missing), progress):
            findings.note(row, looked, sightings)
        return _said(findings.write(panoramas))


def _frames(path: Path, manifest: Manifest) -> str:
    """Frames of the file that is there already; else originals if all are there."""
    if path.is_file():
        return read_settings(path)[0].frames
    lost = lost_recordings(manifest)
    if 0 < lost < len(manifest):
        logger.warning("%s: %d of %d original recordings are missing, proxies are used", path, lost, len(manifest))
    return PROXY if lost or not len(manifest) else ORIGINAL


def _said(path: Path) -> Path:
    """The file, and a warning where nothing was found in any clip: crops that it guides are random ones."""
    if not pq.ParquetFile(path).metadata.num_rows:
        logger.warning("%s: no objects in any clip; crops guided by them are random", path)
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
    numbers, objects = ("{objects} objects", "{rate:.2f} clips/s"), 0
    shown = progress and clips > 0
    with ProgressBar("detect", clips, "clips", numbers=numbers, shown=shown, line_every=SECONDS_BETWEEN_LINES) as bar:
        for result in results:
            objects += sum(len(sighting.scores) for sighting in result[2])
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
