"""Batches of a manifest: a function of seed, step and rank, independent of the number of loader processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from avssl.config import DataConfig
from avssl.data.clip import Clip
from avssl.data.worker_loader import Batch, in_order
from avssl.datasets.manifest import Manifest, Row
from avssl.detection.object_index import Objects, read_objects
from avssl.errors import InputError
from avssl.io.cache_folder import cache_folder
from avssl.io.loader_process import stacked
from avssl.io.worker_note import note_file
from avssl.media import read_frames, read_resampled
from avssl.media.clip_start import check_clip_start
from avssl.media.frame_store import FrameStore, frame_store

READS_TO_KEEP = 4
"""Reads of each clip from which on decoded frames are kept: to decode and write a whole video takes as long."""
SLACK = 1e-6
"""Frames, by which times may be rounded."""
Views = Callable[[Clip, np.random.Generator], Batch]


def read_clip(
    row: Row,
    root: Path,
    config: DataConfig,
    sample_rate: int,
    rng: np.random.Generator | None = None,
    objects: Objects | None = None,
    store: FrameStore | None = None,
) -> Clip:
    """Read a window of a clip: `config.seconds` of audio, and frames within it.

    A clip shorter than the window is followed by silence and its last frame.

    Args:
        row: the clip.
        root: folder that the row's paths start from.
        config: length of the window, number and rate of frames.
        sample_rate: Hz of the returned audio.
        rng: random position of the audio in the clip and of the frames in the audio; None: both in the middle. With
            `config.frame_position` middle see `frames_about`.
        objects: of the manifest's clips; the clip gets those in the middle of the frames' time.
        store: decoded frames of its videos; None: frames are decoded.

    Returns:
        The clip; its labels are the row's columns with `start`, where the window begins, and `frame_start`, where its
        frames do, in seconds from the clip's beginning.

    Raises:
        FileNotFoundError: a file is gone.
        InputError: a file is broken, or ends before the clip begins.
    """
    seconds = min(config.seconds, row.seconds)
    audio_at, frames_at = (0.5, 0.5) if rng is None else rng.random(2)
    start = (row.seconds - seconds) * audio_at
    frame_start = start + max(0.0, seconds - config.frames / config.frame_rate) * frames_at
    if config.frame_position == "middle":
        start, frame_start = frames_about(start, seconds, row.seconds, config)
    sound, video = root / row.audio, root / row.video
    audio = read_resampled(sound, row.start + start, seconds, sample_rate)
    if not (math.isfinite(audio.sum()) or bool(audio.isfinite().all())):  # large samples may sum to infinity
        raise InputError(f"{sound}: audio contains NaN or Inf near {start:.2f} s")
    note_file(video)
    check_clip_start(video, row.start)
    samples = round(config.seconds * sample_rate)
    last = row.start + row.seconds - 0.5 / max(row.frame_rate, 1.0)
    wanted = (row.start + frame_start + frame / config.frame_rate for frame in range(config.frames))
    times = [min(max(each, row.start), last) for each in wanted]
    return Clip(
        frames=(store.read if store else read_frames)(video, times),
        audio=audio[:, :samples] if audio.shape[1] >= samples else pad(audio, (0, samples - audio.shape[1])),
        sample_rate=sample_rate,
        key=row.key,
        labels=vars(row) | {"start": float(start), "frame_start": float(frame_start)},
        objects=_objects_at(objects, row.key, (times[0] + times[-1]) / 2 - row.start),
    )


def frames_about(start: float, seconds: float, longest: float, config: DataConfig) -> tuple[float, float]:
    """Beginning of a window whose middle is the time of a frame, and of its frames, that one in their middle.

    The window moves by half a frame at most: what pulses with a sound several times a second is out of step with it by
    one frame. Of an even number of frames, one more is before the middle. Where the window cannot move, frames are late
    by less than one.

    Args:
        start: of the window, in seconds from the clip's beginning.
        seconds: its length.
        longest: length of the clip in seconds.
        config: number and rate of frames.
    """
    rate, middle = config.frame_rate, (start + seconds / 2) * config.frame_rate
    nearest = sorted((math.floor(middle), math.ceil(middle)), key=lambda each: abs(each - middle))
    moved = (frame / rate - seconds / 2 for frame in nearest)
    start = next((each for each in moved if 0 <= each <= longest - seconds), start)
    return start, first_frame(start + seconds / 2, config.frames, rate) / rate


def first_frame(middle: float, frames: int, rate: float) -> int:
    """Index of the first of some frames about a time in seconds; may be negative."""
    # Not `round`: it rounds half to even, and so would skip every other index.
    return math.floor(middle * rate - (frames - 1) / 2 + SLACK)


def _objects_at(objects: Objects | None, key: str, time: float) -> Tensor:
    """Azimuth, elevation and score `(N, 3)` of a clip's objects at a time in seconds from its beginning."""
    if objects is None:
        return torch.empty(0, 3)
    directions, scores = objects.at(key, time)
    found = torch.column_stack([torch.as_tensor(directions), torch.as_tensor(scores)]).float()
    if not bool(found.isfinite().all()):
        raise InputError(f"clip {key!r}: directions or scores of objects contain NaN or Inf near {time:.2f} s")
    return found


class Batches:
    """Batches of a run, any range of steps, reproducible.

    Every epoch is a permutation of the clips, seeded; it is cut into batches and what is left over is dropped, so that
    no batch holds a clip twice unless there are fewer clips than that. Each rank takes its slice of the same batch.

    Args:
        manifest: the clips.
        views: maps a clip to a training example, with a generator seeded by seed, step and the clip's key.
        data: batch (over all ranks), workers, how much of a clip is read, and whose objects go with it.
        sample_rate: Hz, of the clips' sound.
        seed: of the run.
        rank: this process.
        world: number of processes.

    Raises:
        InputError: there are no clips, the batch cannot be cut into `world` slices, or the detector that is named left
            no objects that can be read.
    """

    def __init__(
        self,
        manifest: Manifest,
        views: Views,
        data: DataConfig,
        sample_rate: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if not len(manifest):
            raise InputError(f"{manifest.root}: expected clips to train on, the manifest has none")
        if data.batch % world:
            raise InputError(f"data.batch must be a multiple of the {world} processes, it is {data.batch}")
        self.workers, self.data = data.workers, data
        self.steps_per_epoch = max(1, len(manifest) // data.batch)
        objects = read_objects(manifest.root, data.detector) if data.detector else None
        self.steps = _Steps(manifest, views, data, sample_rate, seed, rank, world, objects)

    def between(self, start: int, stop: int) -> Generator[Batch, None, None]:
        """The batches of steps `start` to `stop - 1`; closing the iterator ends its loader processes.

        Raises:
            InputError: a file is broken or gone.
        """
        reads = (stop - start) * self.data.batch / len(self.steps.manifest)
        store = frames_to_keep(self.steps.manifest, self.data) if reads >= READS_TO_KEEP else None
        yield from in_order(replace(self.steps, store=store), range(start, stop), self.workers)


def frames_to_keep(manifest: Manifest, data: DataConfig) -> FrameStore | None:
    """Store of the decoded frames of a manifest's videos, as `data.decoded` and `data.decoded_gb` have it.

    Args:
        manifest: the clips.
        data: which manifests' frames are kept, and how many bytes they may take.
    """
    synthetic = manifest.root.resolve().is_relative_to(cache_folder().resolve())
    if data.decoded == "none" or (data.decoded == "synthetic" and not synthetic):
        return None
    return frame_store(_pixels_of_videos(manifest), data.decoded_gb * 1e9)


def _pixels_of_videos(manifest: Manifest) -> Iterator[tuple[Path, float]]:
    """Each video in the order of the rows, and the pixels of its frames up to the end of its last clip."""
    rows = manifest.columns
    codes, paths = rows.texts("video")
    start, seconds, rate, width, height = map(rows.numbers, ("start", "seconds", "frame_rate", "width", "height"))
    most = np.zeros(len(paths))
    np.maximum.at(most, codes, ((start + seconds) * rate + 1) * width * height)
    used, first = np.unique(codes, return_index=True)
    for code in used[np.argsort(first)].tolist():
        yield manifest.root / paths[code].as_py(), float(most[code])


@dataclass(frozen=True)
class _Steps:
    """Step -> the slice of its batch that this rank takes."""

    manifest: Manifest
    views: Views
    data: DataConfig
    sample_rate: int
    seed: int
    rank: int
    world: int
    objects: Objects | None
    store: FrameStore | None = None

    def __call__(self, step: int) -> Batch:
        views = [self._views(self.manifest.rows[index], step) for index in self._indices(step)]
        return {name: stacked([each[name] for each in views]) for name in views[0]}

    def _views(self, row: Row, step: int) -> Batch:
        rng = np.random.default_rng((self.seed, step, crc32(row.key.encode())))
        clip = read_clip(row, self.manifest.root, self.data, self.sample_rate, rng, self.objects, self.store)
        return self.views(clip, rng)

    def _indices(self, step: int) -> np.ndarray:
        clips, batch = len(self.manifest), self.data.batch
        if clips >= batch:
            epoch, place = divmod(step, clips // batch)
            whole = permutation(clips, self.seed, epoch)[place * batch : (place + 1) * batch]
        else:
            rounds = -(-batch // clips)
            whole = np.concatenate([permutation(clips, self.seed, step * rounds + each) for each in range(rounds)])
        share = batch // self.world
        return whole[:batch][self.rank * share : (self.rank + 1) * share]


@lru_cache(maxsize=2)
def permutation(clips: int, seed: int, epoch: int) -> np.ndarray:
    """Order of the clips in an epoch."""
    return np.random.default_rng((seed, epoch, crc32(b"epoch"))).permutation(clips)
