"""Sources from user clips: cut-outs with their audio."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from avssl.errors import InputError
from avssl.io.hashing import cached_sha256
from avssl.media import probe, read_audio
from avssl.media.streams import AudioReader
from avssl.media.video_reader import VideoReader
from avssl.synth.scene_format import Format
from avssl.synth.sources.oscillators import Signal
from avssl.synth.sources.source_pool import Appearance, Source, SourcePool
from avssl.synth.user_clips.annotations import Annotation, read_annotations
from avssl.synth.user_clips.cutouts import CutOut, Cutting, cut_all, read_cut_out
from avssl.synth.user_media.media_files import read_each

SOURCES = "sources"
"""Folder of the cut-outs in the output folder."""
LONGEST = 20.0
"""Maximum length of a cut-out, s; longer segments are split."""
SHORTEST = 0.1
"""Minimum length of a segment, s."""
SILENT = 1e-4
"""Peak up to which a part of a clip is silent."""
SLACK = 0.25
"""Tolerance of an annotation beyond the duration in the header of its video, s."""


@dataclass(frozen=True)
class ClipActor(Source):
    """A cut-out, from some instant of it or after some time."""

    path: Path
    """File of the cut-out."""
    kind: str
    begin: float
    """Seconds of the cut-out at which the scene begins; negative where the scene begins before it."""

    def audio(self, form: Format) -> Signal:
        """See `Actor.audio`."""
        span = form.span()
        stored = self._cut_out.audio
        first = round((self.begin + span.start) * span.sample_rate)
        rendered = np.zeros(span.samples, np.float32)
        left, right = max(0, first), min(len(stored), first + span.samples)
        if left < right:
            rendered[left - first : right - first] = stored[left:right]
        return rendered

    def appearance(self, form: Format) -> Appearance:
        """The cut-out of each instant, while it lasts."""
        cut = self._cut_out
        times = form.frame_times() + self.begin
        numbers = np.clip(np.floor(times * cut.rate + 1e-6).astype(np.int64), 0, len(cut.frames) - 1)
        there = (times > -1e-6) & (times < cut.seconds)
        still = np.zeros(len(times))
        side = cut.sides[numbers].astype(np.float64)
        return Appearance(tuple(cut.frames), np.where(there, numbers, -1), side, still, still + 1)

    @property
    def _cut_out(self) -> CutOut:
        return read_cut_out(self.path)


@dataclass(frozen=True)
class Clips(SourcePool):
    """All segments of a user's clips."""

    folder: Path
    """Where the cut-outs lie."""
    segments: tuple[Annotation, ...]
    """None longer than `LONGEST`."""
    cutting: Cutting
    fingerprint: str
    """Hash of the annotations and of the contents of their files."""

    @property
    def kinds(self) -> dict[str, int]:
        """The labels, and how many segments each has."""
        return dict(sorted(Counter(each.label for each in self.segments).items()))

    def actors(self, rng: np.random.Generator, kinds: Sequence[str], form: Format) -> list[Source]:
        """See `Company.actors`."""
        order = rng.permutation(len(self.segments)).tolist()
        found: list[Source] = []
        for kind in kinds:
            number = next(number for number in order if self.segments[number].label == kind)
            order.remove(number)
            found.append(self._actor(rng, number, form))
        return found

    def trio(self, rng: np.random.Generator, index: int, count: int, form: Format) -> list[Source]:
        """See `Company.trio`."""
        first = index % len(self.segments)
        others = [number for number in rng.permutation(len(self.segments)).tolist() if number != first]
        return [self._actor(rng, number, form) for number in (first, *others[: count - 1])]

    def settings(self) -> dict[str, object]:
        """See `Company.settings`."""
        return {"sources": self.fingerprint} | self.cutting.settings()

    def prepare(self, form: Format, progress: bool) -> None:
        """Cut out what has not been yet."""
        cut_all(self.segments, [self.path(number) for number in range(len(self.segments))], self.cutting,
                form.sample_rate, progress)  # fmt: skip

    def _actor(self, rng: np.random.Generator, number: int, form: Format) -> ClipActor:
        """Longer ones begin anywhere, shorter ones come in at any time that they are done at the end."""
        segment = self.segments[number]
        spare = segment.end - segment.start - form.seconds
        return ClipActor(self.path(number), segment.label, float(rng.uniform(min(0, spare), max(0, spare))))

    def path(self, number: int) -> Path:
        """File of the cut-out of a segment."""
        return self.folder / f"{number:05d}.npz"


def load_clip_sources(out: Path, sources: Path, cutting: Cutting, failures: list[str] | None = None) -> Clips:
    """Those whom an annotation file or a folder of clips names, after a look at whether their files are there.

    Stretches of 20 s at most in which nothing sounds are left out.

    Args:
        out: folder of the world that they will play in.
        sources: see `read_annotations`.
        cutting: how they are cut out.
        failures: takes a line for each clip of a folder that cannot be read; None: an error.

    Raises:
        InputError: the annotations are wrong, or do not fit the files, or nothing sounds in one.
        OSError: they cannot be read.
    """
    cutting.check()
    clips = read_annotations(sources)
    if failures is not None and sources.is_dir():
        readable = {path for path, _ in read_each([clip.video for clip in clips], _open, failures)}
        clips = [clip for clip in clips if clip.video in readable]
    length = cache(_seconds)
    segments = tuple(part for each in clips for part in _sounding(each, _parts(sources, each, length)))
    files = sorted({path for each in segments for path in (each.video, each.audio)})
    said = repr([(each.video.name, each.audio.name, *list(vars(each).values())[2:]) for each in segments])
    digest = hashlib.sha256((said + "".join(map(cached_sha256, files))).encode()).hexdigest()[:16]
    return Clips(out / SOURCES, segments, cutting, digest)


def _open(path: Path) -> None:
    """Open the streams of a clip; one without sound is no failure of its file."""
    VideoReader(path)
    if probe(path).audio_streams:
        AudioReader(path)


def _sounding(clip: Annotation, parts: Sequence[Annotation]) -> list[Annotation]:
    """Parts of a clip in which something sounds.

    Raises:
        InputError: there are none, or the sound cannot be read.
    """
    seconds = AudioReader(clip.audio).length()
    found = [part for part in parts if part.start < seconds and _peak(part) > SILENT]
    if not found:
        raise InputError(f"{clip.audio}: expected the sound of a source ({clip.label}), got silence; leave it out")
    return found


def _peak(part: Annotation) -> float:
    return float(read_audio(part.audio, part.start, part.end - part.start)[0].abs().max())


def _parts(path: Path, whole: Annotation, length: Callable[[Path, Path], float]) -> list[Annotation]:
    """Equal parts of a segment, none longer than `LONGEST`; `length`: seconds of a video and its audio."""
    there = length(whole.video, whole.audio)
    end = min(whole.end, there)
    if end < whole.end - SLACK and whole.end != float("inf"):
        raise InputError(f"{path}: a segment of {whole.video} ends at {whole.end} s, the video at {there:.2f} s")
    if end - whole.start < SHORTEST:
        raise InputError(f"{path}: a segment of {whole.video} starts at {whole.start} s, the video ends at {there:.2f}")
    count = int(np.ceil((end - whole.start) / LONGEST - 1e-9))
    edges = np.linspace(whole.start, end, count + 1).tolist()
    fixed = {name: value for name, value in vars(whole).items() if name not in ("start", "end")}
    return [Annotation(**fixed, start=edges[k], end=edges[k + 1]) for k in range(count)]


def _seconds(video: Path, audio: Path) -> float:
    """Length of the video, after a check that there are frames and audio."""
    if not probe(video).videos:
        raise InputError(f"{video}: expected a video, it has no picture stream")
    if not probe(audio).audio_streams:
        raise InputError(f"{audio}: expected audio, got a file without an audio stream")
    return VideoReader(video).duration
