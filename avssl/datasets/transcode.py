"""One recording -> a small short-GOP mp4, a wav of first order or for two ears, and its row of the manifest."""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from avssl.datasets.audio_pass import AudioSummary, analyze_audio, check_length, write_analyzed_audio
from avssl.datasets.audio_stats import StereoStats
from avssl.datasets.dataset import PROJECTIONS, Recording
from avssl.datasets.manifest import Row
from avssl.datasets.prepare_report import Failure, printable
from avssl.errors import InputError
from avssl.media.channel_layouts import check_name
from avssl.media.image_sequence import ImageSequence
from avssl.media.projection_check import check_equirect, check_flat
from avssl.media.streams import VideoReader
from avssl.media.video_writer import write_video

MEDIA = "media"
PARTIAL = ".partial"
GOP = 8
NARROWEST = 16
"""Pixels."""
LEAST = 0.25
"""Seconds; less is no clip."""


@dataclass(frozen=True)
class Options:
    """What the proxies depend on."""

    projection: str = "auto"
    """auto, or equirect or flat (an ordinary field of view): the user vouches for it."""
    channel_layout: str = "auto"
    """auto, or one of `avssl.media.channel_layouts.NAMES` or `PAIRS`."""
    height: int = 224
    """Rows; twice as many columns of a world, an even number in the picture's proportion of a flat one."""
    frame_rate: float = 16.0
    """Most pictures a second; slower sources keep their rate."""
    sample_rate: int = 24000
    """Hz."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if self.projection not in PROJECTIONS:
            raise InputError(f"projection is auto, equirect or flat, not {self.projection!r}")
        check_name(self.channel_layout)
        if self.height < 16 or self.height % 2:
            raise InputError(f"height is an even number of pixels, 16 or more, not {self.height}")
        if not 0 < self.frame_rate < math.inf:
            raise InputError(f"frame rate must be positive, not {self.frame_rate}")
        if self.sample_rate < 8000:
            raise InputError(
                f"sample rate must be 8000 Hz or more (directions are read up to 4 kHz), not {self.sample_rate}"
            )


@dataclass(frozen=True)
class Job:
    """One recording to prepare, with all that a worker process needs."""

    root: Path
    """Folder of the data set."""
    recording: Recording
    out: Path
    """The folder of the manifest."""
    options: Options

    @property
    def video(self) -> Path:
        """Video file, or folder of numbered frames."""
        return self.root / self.recording.video

    @property
    def audio(self) -> Path:
        """Audio file, or folder of numbered audio files."""
        return self.root / self.recording.audio


def prepare_one(job: Job) -> Row | Failure:
    """Prepare a recording; both files appear under their names when they are complete, or neither does.

    Returns:
        Its row, or why there is none.

    Raises:
        OSError: the disk is full: a matter of the folder, not of the recording.
    """
    torch.set_num_threads(1)
    partial = [job.out / PARTIAL / f"{job.recording.key}{suffix}" for suffix in (".mp4", ".wav")]
    try:
        row = _prepare(job, *partial)
        for path in partial:
            path.replace(job.out / MEDIA / path.name)
        return row
    except Exception as error:  # whatever a decoder raises over a bad file costs that file, not the run
        if _is_disk_full(error, job.out):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(job.out)) from None
        return failure(job, error)
    finally:
        for path in partial:
            path.unlink(missing_ok=True)


def failure(job: Job, reason: BaseException | str) -> Failure:
    """A recording's row in `failed.parquet`."""
    text = str(reason) or type(reason).__name__
    return Failure(job.recording.key, printable(job.video), printable(text.splitlines()[0]))


def _prepare(job: Job, video: Path, wave: Path) -> Row:
    recording, options = job.recording, job.options
    frames, heard, seconds = _examined(job)
    rate = min(options.frame_rate, frames.frame_rate or options.frame_rate)
    flat = _is_flat(recording, options)
    width = _width(frames, options.height) if flat else 2 * options.height
    size, turns = (options.height, width), frames.turns if flat else 0
    write_video(video, _proxy_frames(frames, seconds, rate, size, turns), rate, gop=GOP)
    write_analyzed_audio(wave, heard, seconds, options.sample_rate)
    azimuth, elevation, diffuseness = heard.meter.direction()
    return Row(
        key=recording.key,
        split=recording.split,
        video=f"{MEDIA}/{video.name}",
        audio=f"{MEDIA}/{wave.name}",
        start=0.0,
        seconds=seconds,
        frame_rate=rate,
        width=width,
        height=options.height,
        sample_rate=options.sample_rate,
        layout=heard.name,
        silent_channels=heard.silent,
        azimuth=azimuth,
        elevation=elevation,
        diffuseness=diffuseness,
        source=printable(job.video),
    )


def _is_flat(recording: Recording, options: Options) -> bool:
    """Whether the pictures are of an ordinary field of view: by the user's word, else the layout's."""
    return options.projection == "flat" or (options.projection == "auto" and recording.projection == "flat")


def _examined(job: Job) -> tuple[VideoReader | ImageSequence, AudioSummary, float]:
    """Pictures, sound and the seconds that both have; every reason against them in one line."""
    recording, options = job.recording, job.options
    frames, heard, refusals = _opened(job), None, []
    length = frames.length()
    _check_least(job.video, length)
    try:
        check_length(job.video, length, frames.seconds)
        _check_projection(frames, recording, options)
    except InputError as error:
        refusals.append(str(error))
    try:
        declared = recording.channel_layout if options.channel_layout == "auto" else options.channel_layout
        heard = analyze_audio(job.audio, declared, length)
        _check_difference(heard, recording.min_difference_db)
    except InputError as error:
        refusals.append(str(error))
    if refusals or heard is None:
        raise InputError("; ".join(refusals))
    seconds = min(length, heard.seconds)
    _check_least(job.audio, seconds)
    return frames, heard, seconds


def _check_difference(heard: AudioSummary, least: float) -> None:
    if isinstance(heard.meter, StereoStats) and (found := heard.meter.difference()) < least:
        raise InputError(
            f"{heard.audio.path}: expected left and right to differ by {least:.0f} dB, found {found:.0f} dB"
        )


def _check_least(path: Path, seconds: float) -> None:
    if seconds < LEAST:
        raise InputError(f"{path}: expected pictures and sound of {LEAST} s at least, found {seconds:.2f} s")


def _opened(job: Job) -> VideoReader | ImageSequence:
    return ImageSequence(job.video, job.recording.frame_rate) if job.video.is_dir() else VideoReader(job.video)


def _check_projection(frames: VideoReader | ImageSequence, recording: Recording, options: Options) -> None:
    if not _is_flat(recording, options):
        check_equirect(frames, declared=options.projection == "equirect", vouched=recording.projection == "equirect")
    elif options.projection == "auto":
        check_flat(frames)


def _width(frames: VideoReader | ImageSequence, height: int) -> int:
    """Columns of a flat proxy, an even number."""
    aspect = 1 / frames.aspect if frames.turns % 2 else frames.aspect
    return max(NARROWEST, 2 * round(height * aspect / 2))


def _proxy_frames(
    frames: VideoReader | ImageSequence, seconds: float, rate: float, size: tuple[int, int], turns: int
) -> Iterator[np.ndarray]:
    """The frames of a proxy, `(height, width, 3)` each, turned counter-clockwise by so many quarters."""
    times = [index / rate for index in range(math.ceil(seconds * rate - 1e-6))]
    for frame in frames.frames(times, size[::-1] if turns % 2 else size):
        yield np.rot90(frame, turns)


def _is_disk_full(error: BaseException | None, out: Path) -> bool:
    """Libraries lose the error number on the way: ask the disk too."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return shutil.disk_usage(out).free < 64 * 1024
