"""Sources of synthetic scenes from flat videos: the object that a detector finds in each, as an annotation file."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from avssl.datasets.manifest import NAME, Manifest, Row, read_manifest
from avssl.detection.backends import Detections, Detector, load_detector
from avssl.detection.frame_source import ORIGINAL, PROXY, Recordings
from avssl.detection.object_index import DIGITS, slug
from avssl.errors import InputError, is_input_error
from avssl.io.atomic import write_text
from avssl.io.folder_lock import file_lock
from avssl.io.process_pool import Outcomes, has_other_pool, outcomes
from avssl.io.progress import track
from avssl.media import probe
from avssl.media.projection_check import check_flat
from avssl.media.video_reader import VideoReader
from avssl.synth.user_clips.annotations import FORMAT, VERSION, Annotation, read_annotations

logger = logging.getLogger(__name__)
BATCH = 16
"""Frames that are detected at once."""
LEAST_IOU = 0.3
"""Overlap (IoU) of an object with itself at the next time."""
LONGEST_GAP = 1.0
"""Seconds for which an object may not be detected."""
OnError = Callable[[str, Exception], object]


@dataclass(frozen=True)
class FlatClip:
    """A part of a flat video with audio."""

    name: str
    video: Path
    audio: Path
    label: str
    """Of its folder; empty: that of the detector."""
    start: float = 0.0
    """Seconds."""
    end: float = math.inf


def is_flat(folder: Path) -> bool:
    """Whether a folder is one of flat videos: a manifest without 360-degree clips, or videos without a manifest."""
    if not (folder / NAME).is_file() and folder.suffix != ".parquet":
        return folder.is_dir()
    return all(row.width != 2 * row.height for row in read_manifest(folder))


def detect_sources(
    folder: Path,
    model: str,
    *,
    rate: float = 2.0,
    min_score: float = 0.25,
    frames: str | None = None,
    progress: bool = True,
    on_error: OnError | None = None,
) -> Path:
    """Detect the object of each flat video and write them as sources of scenes, `sources-<model>-<hash>.json`.

    Of each video the object with the highest sum of scores is followed over time; it is taken for what sounds. Clips of
    a manifest in splits other than train are left out, so that no test clip is in a training scene. The file is one of
    the annotations that `--sources` of `avssl synth` takes.

    Args:
        folder: of a manifest; or of videos as LABEL/clip.mp4, or clip.mp4.
        model: path of a detector, or `torchvision/NAME:PATH`.
        rate: frames per second in which objects are detected.
        min_score: lowest score of detections.
        frames: of a manifest: original (recordings), proxy, or None: recordings where they exist.
        progress: show a progress bar.
        on_error: called with the name and the error of each video that cannot be read or has no object, which is left
            out; None: the first error is raised.

    Returns:
        The file.

    Raises:
        InputError: no such detector, no videos, or no object in any.
        OSError: the file cannot be written.
    """
    if not 0 < rate < math.inf:
        raise InputError(f"rate is above 0, not {rate}")
    if not 0 < min_score < 1:
        raise InputError(f"min_score lies between 0 and 1, not {min_score}")
    clips, root = _clips(folder, frames)
    detector = load_detector(model)
    target = root / f"sources-{slug(model)}-{detector.sha256[:DIGITS]}.json"
    found: dict[FlatClip, dict[str, object]] = {}
    work = _ClipEntry(model, rate, min_score, root.absolute())
    with file_lock(target), closing(_entries(clips, detector, work)) as entries:
        for clip, entry in track(entries, "detect", "videos", len(clips), shown=progress):
            if not isinstance(entry, BaseException):
                found[clip] = entry
            elif on_error is None or not isinstance(entry, Exception) or not is_input_error(entry):
                raise entry
            else:
                on_error(clip.name, entry)
        sources = [found[clip] for clip in clips if clip in found]
        if not sources:
            raise InputError(f"{folder}: expected an object of {model} in some video, got none; lower min_score")
        write_text(target, json.dumps({"format": FORMAT, "version": VERSION, "sources": sources}, indent=1) + "\n")
    return target


def followed(
    found: Sequence[Detections], times: Sequence[float]
) -> tuple[str, list[tuple[float, NDArray[np.float32]]]]:
    """Label, times and boxes of the object with the highest sum of scores; none where nothing was detected.

    Beginning with the best detection that is left, an object is followed to both sides: at each time to the detection
    of its label that overlaps most with its last box, across gaps of up to `LONGEST_GAP` seconds.

    Args:
        found: objects at each time.
        times: seconds, ascending.
    """
    left = {(at, number) for at, each in enumerate(found) for number in range(len(each.scores))}
    best: list[tuple[int, int]] = []
    worth = 0.0
    while left:
        seed = max(left, key=lambda place: (found[place[0]].scores[place[1]], -place[0], -place[1]))
        after = _extended(found, times, seed, range(seed[0] + 1, len(found)), left)
        before = _extended(found, times, seed, range(seed[0] - 1, -1, -1), left)
        places = [*before[::-1], seed, *after]
        left -= set(places)
        scores = sum(float(found[at].scores[number]) for at, number in places)
        best, worth = (places, scores) if scores > worth else (best, worth)
    label = found[best[0][0]].labels[best[0][1]] if best else ""
    return label, [(times[at], found[at].edges[number]) for at, number in best]


def _extended(
    found: Sequence[Detections],
    times: Sequence[float],
    seed: tuple[int, int],
    order: range,
    left: set[tuple[int, int]],
) -> list[tuple[int, int]]:
    """Detections of an object at the times after (or before) one of it."""
    last, places = seed, []
    label = found[seed[0]].labels[seed[1]]
    for at in order:
        if abs(times[at] - times[last[0]]) > LONGEST_GAP + 1e-6:
            break
        alike = [number for number, each in enumerate(found[at].labels) if each == label and (at, number) in left]
        overlaps = [_iou(found[at].edges[number], found[last[0]].edges[last[1]]) for number in alike]
        if overlaps and max(overlaps) >= LEAST_IOU:
            last = at, alike[int(np.argmax(overlaps))]
            places.append(last)
    return places


def _iou(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Overlap of two boxes: intersection over union."""
    width, height = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    both = max(0.0, float(width)) * max(0.0, float(height))
    areas = sum(float(np.prod(each[2:] - each[:2])) for each in (one, other))
    return both / max(1e-9, areas - both)


@dataclass(frozen=True)
class _ClipEntry:
    """Clip -> its entry, in a process that has no network yet, on any machine."""

    model: str
    rate: float
    min_score: float
    root: Path
    wants_gpu: ClassVar[bool] = True

    def __call__(self, clip: FlatClip) -> dict[str, object]:
        return _entry(clip, _detector(self.model), self.rate, self.min_score, self.root)


@lru_cache(maxsize=1)
def _detector(model: str) -> Detector:
    return load_detector(model)


def _entries(clips: Sequence[FlatClip], detector: Detector, work: _ClipEntry) -> Outcomes[FlatClip, dict[str, object]]:
    """Each clip and its entry or its error; in any order where the jobs of commands are done elsewhere."""
    if has_other_pool():
        yield from outcomes(work, clips, len(clips))
        return
    for clip in clips:
        try:
            entry: dict[str, object] | BaseException = _entry(clip, detector, work.rate, work.min_score, work.root)
        except Exception as error:
            entry = error
        yield clip, entry


def _entry(clip: FlatClip, detector: Detector, rate: float, min_score: float, root: Path) -> dict[str, object]:
    """An entry of the annotation file.

    Raises:
        InputError: no picture, no audio, 360 degrees, frames that cannot be read, or no object.
    """
    video = _flat_video(clip.video)
    if not probe(clip.audio).audio_streams:
        raise InputError(f"{clip.audio}: expected audio, got a file without an audio stream")
    end = min(clip.end, video.length())
    times = [clip.start + index / rate for index in range(max(1, math.floor((end - clip.start) * rate)))]
    height, width = video.size
    scale = detector.side / max(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    label, boxes = followed(list(_detected(detector, video.frames(times, size), min_score)), times)
    if not boxes:
        raise InputError(f"{clip.video}: expected an object, found none of score {min_score:g}; lower min_score")
    sides = np.array([size[1], size[0]] * 2, np.float64)
    frames = [{"time": round(time, 6), "box": _inside(box / sides)} for time, box in boxes]
    last = min(end, boxes[-1][0] + 1 / rate)
    entry: dict[str, object] = {"video": _named(clip.video, root), "label": clip.label or label}
    entry |= {"audio": _named(clip.audio, root)} if clip.audio != clip.video else {}
    return entry | {"start": round(boxes[0][0], 6), "end": round(last, 6), "boxes": frames}


def _flat_video(path: Path) -> VideoReader:
    video = VideoReader(path)
    try:
        check_flat(video)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return video


def _detected(detector: Detector, frames: Iterator[NDArray[np.uint8]], min_score: float) -> Iterator[Detections]:
    while batch := list(islice(frames, BATCH)):
        yield from detector.find(np.stack(batch), min_score)


def _inside(box: NDArray[np.float64]) -> list[float]:
    """A box within the picture, of some width and height."""
    left, top, right, bottom = np.clip(box, 0, 1).tolist()
    left, top = min(left, 1 - 1e-3), min(top, 1 - 1e-3)
    return [round(each, 5) for each in (left, top, max(right, left + 1e-3), max(bottom, top + 1e-3))]


def _named(path: Path, root: Path) -> str:
    """A path relative to the annotation file where it lies below its folder."""
    path, root = path.absolute(), root.absolute()
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _clips(folder: Path, frames: str | None) -> tuple[list[FlatClip], Path]:
    """Flat videos of a manifest or a folder, and the folder of the annotation file."""
    if (folder / NAME).is_file() or folder.suffix == ".parquet":
        manifest = read_manifest(folder)
        return _of_manifest(manifest, frames), manifest.root
    if frames is not None:
        raise InputError(f"{folder}: expected a manifest beside frames={frames}, got a folder of videos; leave it out")
    found = read_annotations(folder)
    return [FlatClip(each.video.name, each.video, each.audio, _folder_label(each, folder)) for each in found], folder


def _folder_label(clip: Annotation, folder: Path) -> str:
    """Label of a video in a folder of its label."""
    return "" if clip.video.parent.samefile(folder) else clip.label


def _of_manifest(manifest: Manifest, frames: str | None) -> list[FlatClip]:
    """Clips of the splits train and none."""
    rows = [row for row in manifest if row.split in ("train", "")]
    if not rows:
        raise InputError(f"{manifest.root}: expected clips of split train, got none")
    if len(rows) < len(manifest):
        logger.info("%s: %d clips of other splits than train are left out", manifest.root, len(manifest) - len(rows))
    recordings = None if frames == PROXY else Recordings(manifest.root)
    return [_of_row(row, manifest.root, recordings, frames) for row in rows]


def _of_row(row: Row, root: Path, recordings: Recordings | None, frames: str | None) -> FlatClip:
    recording = recordings.find(row) if recordings else None
    if recording is None and frames == ORIGINAL:
        raise InputError(f"{row.source}: expected the original recording of clip {row.key!r} (frames is original)")
    return FlatClip(row.key, recording or root / row.video, root / row.audio, "", row.start, row.start + row.seconds)
