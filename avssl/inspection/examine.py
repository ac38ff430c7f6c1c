"""Examine one recording: sound, frames, time stamps, metadata, and what would go wrong in training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avssl.errors import InputError, one_line
from avssl.inspection.finding import Finding
from avssl.inspection.motion import MotionAt, median_angle, motion_path
from avssl.inspection.player_metadata import player_metadata
from avssl.inspection.projection_evidence import measure_picture, recognise_projection
from avssl.inspection.seen_objects import FindObjects, ObjectAt, nearest_angle
from avssl.inspection.sound_facts import DirectionAt, SoundFacts, examine_sound
from avssl.media.container_cache import NoStreamError
from avssl.media.declared_projection import EQUIRECTANGULAR
from avssl.media.frame_orientation import Orientation
from avssl.media.probe import check_length, probe
from avssl.media.projection_check import check_equirect
from avssl.media.video_reader import VideoReader

FRAMES = 4
"""Frames that are measured and shown."""
HEIGHT = 480
"""Rows of these frames, at most."""
MOVES = 24
"""Times at which motion is compared with sound, at most."""
CLEAR = 0.9
"""Diffuseness up to which sound has a direction."""
APART = 0.1
"""Share of the length by which audio and video may differ."""
LATE = 0.1
"""Seconds by which one stream may begin after the other unnoticed."""


@dataclass(frozen=True)
class PictureFacts:
    """Facts about the video of a recording."""

    width: int
    """Stored pixels, upright."""
    height: int
    aspect: float
    """Width over height as displayed."""
    codec: str
    frame_rate: float
    """Frames per second by the time stamps."""
    seconds: float
    declared: str
    """Projection by the header, and stereo; empty without a declaration."""
    recognised: str
    """Projection by the pixels; empty if they do not decide."""
    evidence: tuple[str, ...]
    rotation: str
    """Display rotation of the header; empty: none."""


@dataclass(frozen=True)
class RecordingFacts:
    """All facts about a recording."""

    path: Path
    """The video, or the audio where there is no video."""
    audio_path: Path
    picture: PictureFacts | None
    sound: SoundFacts | None
    motion: tuple[MotionAt, ...]
    """Where the frames move, at times of `sound.path`; empty if the frames are not equirectangular."""
    agreement: float
    """Median angle between sound and motion, degrees; nan if unknown."""
    players: tuple[str, ...]
    """Spatial metadata that players read."""
    findings: tuple[Finding, ...]
    frames: tuple[NDArray[np.uint8], ...] = ()
    """Frames for a page."""
    objects: tuple[ObjectAt, ...] | None = None
    """Objects that a detector found, at times of `sound.path`; None: nobody looked for them."""
    nearest_object: float = math.nan
    """Median angle from the sound to the nearest object, degrees; nan if unknown."""
    nearest_by_chance: float = math.nan
    """The same for sound of a random azimuth."""

    @property
    def wrong(self) -> bool:
        """Whether a finding would go wrong in training."""
        return any(each.wrong for each in self.findings)


def examine(path: Path, audio_path: Path | None = None, find_objects: FindObjects | None = None) -> RecordingFacts:
    """Facts about a recording.

    Args:
        path: video, or audio alone.
        audio_path: file with the audio of a video; None: the same.
        find_objects: objects of a 360-degree film at some times; None: they are not compared with the sound.

    Raises:
        InputError: neither video nor audio can be read, or no such file.
    """
    audio_path = audio_path or path
    video, picture, frames, findings = _seen(path)
    sound, more = _heard(audio_path, alone=video is None)
    if video is None and sound is None:
        raise InputError("; ".join(each.text for each in (*findings, *more)))
    findings += more
    motion: list[MotionAt] = []
    agreement, objects = math.nan, _NOT_LOOKED
    if video and picture and sound and _is_sphere(picture):
        motion, agreement = _moved(video, sound)
        objects = _objects(path, video, sound, find_objects)
    if video and sound and picture:
        findings += _timing(path, audio_path, picture, sound)
    players = player_metadata(path)
    return RecordingFacts(
        path, audio_path, picture, sound, tuple(motion), agreement, players, tuple(findings), tuple(frames), *objects
    )


_NOT_LOOKED: tuple[tuple[ObjectAt, ...] | None, float, float] = (None, math.nan, math.nan)


def _objects(
    path: Path, video: VideoReader, sound: SoundFacts, find_objects: FindObjects | None
) -> tuple[tuple[ObjectAt, ...] | None, float, float]:
    """Objects at times of the sound's directions, and the angles of `nearest_angle`."""
    points = _points(video, sound)
    if find_objects is None or not points:
        return _NOT_LOOKED
    times = [each.seconds for each in points]
    found = tuple(find_objects(path, times))
    return (found, *nearest_angle([_clear(each) for each in points], times, found))


def _is_sphere(picture: PictureFacts) -> bool:
    return EQUIRECTANGULAR in (picture.declared, picture.recognised)


def _heard(path: Path, *, alone: bool) -> tuple[SoundFacts | None, list[Finding]]:
    try:
        sound = examine_sound(path)
    except NoStreamError:
        return None, [Finding("no audio", "a recording needs video and audio")]
    except InputError as error:
        return None, [Finding(f"audio: {one_line(error)}")]
    return sound, [*sound.findings, *([Finding("no video", wrong=False)] if alone else [])]


def _seen(path: Path) -> tuple[VideoReader | None, PictureFacts | None, list[NDArray[np.uint8]], list[Finding]]:
    """Reader, facts, frames and findings of the video; no reader without a video that can be read."""
    try:
        video = VideoReader(path)
    except InputError as error:
        return None, None, [], [] if "no video stream" in str(error) else [Finding(f"video: {one_line(error)}")]
    try:
        timeline, findings = video.timeline, []
        check_length(path, timeline.seconds, video.seconds, video.stated)
        seconds, rate = timeline.seconds, video.frame_rate
    except InputError as error:
        findings, seconds, rate = [Finding(f"time stamps: {one_line(error)}", "encode it again")], video.seconds, 0.0
    times = [seconds * (index + 0.5) / FRAMES for index in range(FRAMES)]
    height = min(HEIGHT, video.height)
    width = max(16, round(height * min(6.0, video.aspect)))
    try:
        frames = list(video.frames(times, (height, width)))
    except InputError as error:
        return None, None, [], [*findings, Finding(f"video: {one_line(error)}")]
    recognised, evidence = recognise_projection(measure_picture(frames, video.aspect))
    declared = " ".join(each for each in (video.projection, video.stereo and f"{video.stereo} stereo") if each)
    picture = PictureFacts(
        video.width, video.height, video.aspect, video.codec, rate, seconds, declared, recognised, evidence,
        _rotation(video.orientation),
    )  # fmt: skip
    return video, picture, frames, [*findings, *_projection_findings(video, picture)]


def _rotation(orientation: Orientation) -> str:
    parts = ["mirrored"] * orientation.mirrored + [f"{90 * orientation.turns} degrees"] * bool(orientation.turns)
    return ", ".join(parts)


def _projection_findings(video: VideoReader, picture: PictureFacts) -> Iterator[Finding]:
    """What `prepare` would refuse, and contradictions between header and pixels."""
    recognised = picture.recognised
    if picture.rotation:
        yield Finding(
            f"the header turns the frames: {picture.rotation}", "the sound field is not turned with them", wrong=False
        )
    if recognised in ("eac", "cubemap") and picture.declared != EQUIRECTANGULAR:
        yield Finding(f"the frames look like {recognised} faces", f"avssl prepare --projection {recognised}")
        return
    if recognised == "flat" and not picture.declared:
        yield Finding("the frames have an ordinary field of view", "avssl prepare --projection flat")
        return
    try:
        check_equirect(video, declared=False, vouched=recognised == EQUIRECTANGULAR)
    except InputError as error:
        looks = f" (they look {recognised})" if recognised and recognised not in str(error) else ""
        yield Finding(f"{one_line(error)}{looks}", "" if "--projection" in str(error) else "convert it first")
        return
    if not picture.declared and round(picture.aspect, 1) != 2.0:
        yield Finding("equirectangular frames stored 16:9 without a header", "avssl prepare --projection equirect")
    if recognised not in ("", EQUIRECTANGULAR):
        yield Finding(f"the header says {picture.declared or 'nothing'}, the frames look {recognised}", wrong=False)


def _moved(video: VideoReader, sound: SoundFacts) -> tuple[list[MotionAt], float]:
    """Motion at times of the sound's directions, and the median angle to them."""
    points = _points(video, sound)
    if not points:
        return [], math.nan
    motion = motion_path(video, [each.seconds for each in points])
    return motion, median_angle([_clear(each) for each in points], motion)


def _points(video: VideoReader, sound: SoundFacts) -> list[DirectionAt]:
    """Directions of sound at `MOVES` times within the video, at most."""
    step = max(1, math.ceil(len(sound.path) / MOVES))
    return [each for each in sound.path[::step] if each.seconds < video.seconds or not video.seconds]


def _clear(point: DirectionAt) -> tuple[float, float]:
    sure = point.diffuseness <= CLEAR
    return (point.azimuth, point.elevation) if sure else (math.nan, math.nan)


def _timing(path: Path, audio_path: Path, picture: PictureFacts, sound: SoundFacts) -> Iterator[Finding]:
    longer = max(picture.seconds, sound.seconds)
    if abs(picture.seconds - sound.seconds) > APART * longer:
        yield Finding(
            f"video lasts {picture.seconds:.1f} s, audio {sound.seconds:.1f} s",
            "the shorter one decides; check that they belong together",
        )
    if path == audio_path:
        info = probe(path)
        begin = (info.video.start if info.video else 0.0, info.audio.start if info.audio else 0.0)
        if abs(begin[0] - begin[1]) > LATE:
            yield Finding(f"video begins at {begin[0]:.2f} s, audio at {begin[1]:.2f} s", wrong=False)
