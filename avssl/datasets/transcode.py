"""Transcode one recording to a small short-GOP mp4, a first-order or stereo wav, and a manifest row."""

from __future__ import annotations

import errno
import math
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from avssl.datasets.audio_pass import AudioSummary, analyze_audio, write_analyzed_audio
from avssl.datasets.audio_stats import StereoStats
from avssl.datasets.dataset import PROJECTIONS, Recording
from avssl.datasets.manifest import Row
from avssl.datasets.prepare_report import Failure
from avssl.errors import InputError, first_line, is_input_error, one_line
from avssl.io.atomic import sync
from avssl.media.channel_layouts import check_name
from avssl.media.cube_faces import CUBES, FACES, check_faces, check_order, equirect_frames
from avssl.media.image_sequence import ImageSequence
from avssl.media.jpeg_frames import SUFFIX, write_jpeg_frames
from avssl.media.probe import check_length
from avssl.media.projection_check import check_equirect, check_flat
from avssl.media.video_reader import VideoReader
from avssl.media.video_writer import write_video
from avssl.printable_text import printable

MEDIA = "media"
PARTIAL = ".partial"
GOP = 8
FRAMES = {"h264": ".mp4", "jpeg": SUFFIX}
"""Form of the frames -> end of the names of their files."""
NARROWEST = 16
"""Pixels."""
LEAST = 0.25
"""Shortest clip in seconds."""


@dataclass(frozen=True)
class Options:
    """Options of the proxies."""

    projection: str = "auto"
    """auto, equirect, flat (ordinary field of view), or eac or cubemap, converted to equirectangular frames."""
    channel_layout: str = "auto"
    """auto, or one of `avssl.media.channel_layouts.NAMES` or `PAIRS`."""
    height: int = 224
    """Rows; columns are twice as many for equirectangular video, else an even number by the aspect ratio."""
    frame_rate: float = 16.0
    """Highest number of frames per second; slower sources keep their rate."""
    sample_rate: int = 24000
    """Hz."""
    frames: str = "h264"
    """h264: a video of short groups of frames; jpeg: each frame a JPEG image, see `avssl.media.jpeg_frames`."""
    faces: str = FACES
    """Order of the faces of cubemap, row by row: a letter each of right, left, up, down, front, back."""

    def __post_init__(self) -> None:
        """Validate field values."""
        if self.projection not in PROJECTIONS:
            raise InputError(f"projection is one of {', '.join(PROJECTIONS)}, not {self.projection!r}")
        check_order(self.faces)
        if self.faces != FACES and self.projection != "cubemap":
            raise InputError(f"faces {self.faces}: expected projection cubemap beside it, got {self.projection}")
        check_name(self.channel_layout)
        if self.frames not in FRAMES:
            raise InputError(f"frames are one of {', '.join(FRAMES)}, not {self.frames!r}")
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
    """One recording to prepare, as sent to a worker process."""

    root: Path
    """Folder of the data set."""
    recording: Recording
    out: Path
    """Folder of the manifest."""
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
    """Prepare a recording; both files are moved into place when complete, or neither.

    Returns:
        The manifest row, or the failure.

    Raises:
        OSError: the disk is full.
    """
    torch.set_num_threads(1)
    # A folder of this process: another machine may try the same recording, where this one is taken for dead.
    folder = job.out / PARTIAL / f"{platform.node()}-{os.getpid()}"
    partial = [folder / f"{job.recording.key}{suffix}" for suffix in (FRAMES[job.options.frames], ".wav")]
    try:
        folder.mkdir(exist_ok=True)
        row = _prepare(job, *partial)
        for path in partial:
            sync(path)  # the journal will say that it is whole
            path.replace(job.out / MEDIA / path.name)
        return row
    except Exception as error:  # any decoder error rejects the file, not the run
        if _is_disk_full(error, job.out):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(job.out)) from None
        return failure(job, error)
    finally:
        for path in partial:
            path.unlink(missing_ok=True)


def failure(job: Job, reason: BaseException | str) -> Failure:
    """A recording's row in `failed.parquet`."""
    if isinstance(reason, BaseException):
        # Names may have line ends; other libraries' messages may have several lines.
        reason = one_line(reason) if is_input_error(reason) else first_line(reason)
    return Failure(job.recording.key, printable(job.video), printable(reason))


def _prepare(job: Job, video: Path, wave: Path) -> Row:
    recording, options = job.recording, job.options
    frames, summary, seconds = _examined(job)
    rate = min(options.frame_rate, frames.frame_rate or options.frame_rate)
    kind = _projection(recording, options)
    width = _width(frames, options.height) if kind == "flat" else 2 * options.height
    times = [index / rate for index in range(math.ceil(seconds * rate - 1e-6))]
    size = options.height, width
    cube = kind in CUBES
    shown = equirect_frames(frames, kind, times, size, options.faces) if cube else frames.frames(times, size)
    if options.frames == "jpeg":
        write_jpeg_frames(video, shown, rate)
    else:
        write_video(video, shown, rate, gop=GOP)
    write_analyzed_audio(wave, summary, seconds, options.sample_rate)
    azimuth, elevation, diffuseness = summary.stats.direction()
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
        layout=summary.name,
        silent_channels=summary.silent_channels,
        azimuth=azimuth,
        elevation=elevation,
        diffuseness=diffuseness,
        source=printable(job.video),
    )


def _projection(recording: Recording, options: Options) -> str:
    """Projection of the video: by the user's option, else by the layout; auto where neither states it."""
    return recording.projection if options.projection == "auto" else options.projection


def _examined(job: Job) -> tuple[VideoReader | ImageSequence, AudioSummary, float]:
    """Frames, audio statistics and their common length; all errors joined in one line."""
    recording, options = job.recording, job.options
    frames, summary, refusals = _opened(job), None, []
    length = frames.length()
    _check_least(job.video, length)
    try:
        check_length(job.video, length, frames.seconds, frames.stated)
        _check_projection(frames, recording, options)
    except InputError as error:
        refusals.append(str(error))
    try:
        declared = recording.channel_layout if options.channel_layout == "auto" else options.channel_layout
        summary = analyze_audio(job.audio, declared, length)
        _check_difference(summary, recording.min_difference_db)
    except InputError as error:
        refusals.append(str(error))
    if refusals or summary is None:
        raise InputError("; ".join(refusals))
    seconds = min(length, summary.seconds)
    _check_least(job.audio, seconds)
    return frames, summary, seconds


def _check_difference(summary: AudioSummary, least: float) -> None:
    if isinstance(summary.stats, StereoStats) and (found := summary.stats.difference()) < least:
        raise InputError(
            f"{summary.audio.path}: expected left and right to differ by {least:.0f} dB, found {found:.0f} dB"
        )


def _check_least(path: Path, seconds: float) -> None:
    if seconds < LEAST:
        raise InputError(f"{path}: expected video and audio of at least {LEAST} s, found {seconds:.2f} s")


def _opened(job: Job) -> VideoReader | ImageSequence:
    return ImageSequence(job.video, job.recording.frame_rate) if job.video.is_dir() else VideoReader(job.video)


def _check_projection(frames: VideoReader | ImageSequence, recording: Recording, options: Options) -> None:
    kind = _projection(recording, options)
    if kind in CUBES:
        check_faces(frames, kind)
    elif kind != "flat":
        check_equirect(frames, declared=options.projection == "equirect", vouched=recording.projection == "equirect")
    elif options.projection == "auto":
        check_flat(frames)


def _width(frames: VideoReader | ImageSequence, height: int) -> int:
    """Columns of a flat proxy, an even number."""
    return max(NARROWEST, 2 * round(height * frames.aspect / 2))


def _is_disk_full(error: BaseException | None, out: Path) -> bool:
    """Whether an error is a full disk; libraries may lose the error number, so free space is checked too."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return shutil.disk_usage(out).free < 64 * 1024
