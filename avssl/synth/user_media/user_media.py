"""All media of a user that scenes are made of, split into those of training and those of test scenes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from avssl.errors import InputError
from avssl.io.hashing import cached_sha256
from avssl.synth.user_clips.clip_object import ClipCast, ClipMember
from avssl.synth.user_clips.clip_sources import Clips, load_clip_sources
from avssl.synth.user_clips.cutouts import Cutting
from avssl.synth.user_media.ambience_recording import AmbienceExcerpt, Recording, load_recordings
from avssl.synth.user_media.background_image import BackgroundImage, load_backgrounds
from avssl.synth.user_media.media_files import Split, Splitter, divided, groups
from avssl.synth.user_media.media_options import MediaOptions
from avssl.synth.user_media.room_response import ResponseFile, load_rooms

T = TypeVar("T")

SPLITS = 1 << 20
"""Random stream of the splits, besides those of scenes."""
CLIPS, BACKGROUNDS, ROOMS, AMBIENCE = range(4)
"""Independent random streams of the splits."""


class Surroundings(NamedTuple):
    """Surroundings of a scene."""

    image: BackgroundImage | None
    """Background; None: drawn."""
    responses: tuple[ResponseFile, ...]
    """Response from each object; none: a simulated room."""
    ambience: AmbienceExcerpt | None
    """Background sound; None: noise."""


@dataclass(frozen=True)
class UserMedia:
    """What scenes are made of; None where it is built in."""

    identity: dict[str, object]
    """Settings that the scenes depend on."""
    clips: Clips | None = None
    casts: Split[ClipMember] | None = None
    backgrounds: Split[Path] | None = None
    rooms: Split[tuple[ResponseFile, ...]] | None = None
    recordings: Split[Recording] | None = None
    snr: float = 20.0

    def cast(self, test: bool) -> ClipCast | None:
        """Those whom a scene is cast from."""
        return None if self.casts is None else ClipCast(self.casts.of(test))

    def surroundings(self, rng: np.random.Generator, count: int, test: bool) -> Surroundings:
        """Draw the surroundings of a scene of `count` objects."""
        seed, position, yaw = int(rng.integers(2**31)), float(rng.random()), float(rng.uniform(-math.pi, math.pi))
        picks = rng.random(3).tolist()
        image, ambience = None, None
        responses: tuple[ResponseFile, ...] = ()
        if self.backgrounds is not None:
            image = BackgroundImage(_pick(self.backgrounds.of(test), picks[0]), seed)
        if self.rooms is not None:
            responses = _by_source(_pick(self.rooms.of(test), picks[1]), count, rng)
        if self.recordings is not None:
            ambience = AmbienceExcerpt(_pick(self.recordings.of(test), picks[2]), position, yaw, self.snr)
        return Surroundings(image, responses, ambience)

    def settings(self) -> dict[str, object]:
        """Settings that the scenes depend on."""
        return self.identity


def _pick(items: Sequence[T], share: float) -> T:
    return items[int(share * len(items))]


def _by_source(room: Sequence[ResponseFile], count: int, rng: np.random.Generator) -> tuple[ResponseFile, ...]:
    """A response of a room for each source: different ones, as far as there are."""
    order = rng.permutation(len(room)).tolist()
    return tuple(room[order[number % len(order)]] for number in range(count))


def load_user_media(options: MediaOptions, out: Path, panoramic: bool, failures: list[str]) -> UserMedia:
    """Find, check and split the media that options name.

    Args:
        options: of the data set.
        out: folder that it is rendered into.
        panoramic: whether backgrounds have to be panoramas.
        failures: takes a line for each file that cannot be read.

    Raises:
        InputError: a folder without such media, or media of another kind, or too few for two splits.
        OSError: a file cannot be read.
    """
    splitter = Splitter(options.test_share)
    streams = [np.random.default_rng((options.seed, SPLITS, stream)) for stream in range(4)]
    identity: dict[str, object] = {"test_share": options.test_share}
    clips, casts = None, None
    if options.sources:
        clips, casts = _load_clips(options, out, splitter, streams[CLIPS], failures)
        identity |= clips.settings() | {"sources_fov": options.sources_fov}
    backgrounds, rooms, recordings = None, None, None
    if options.backgrounds:
        backgrounds, identity["backgrounds"] = load_backgrounds(
            Path(options.backgrounds), panoramic, splitter, streams[BACKGROUNDS], failures
        )
    if options.rirs:
        rooms, identity["rirs"] = load_rooms(Path(options.rirs), options.rir_format, splitter, streams[ROOMS], failures)
        identity["rir_format"] = options.rir_format
    if options.ambience:
        recordings, identity["ambience"] = load_recordings(
            Path(options.ambience), options.ambience_format, splitter, streams[AMBIENCE], failures
        )
        identity |= {"ambience_format": options.ambience_format, "ambience_snr": options.ambience_snr}
    return UserMedia(identity, clips, casts, backgrounds, rooms, recordings, options.ambience_snr)


def _load_clips(
    options: MediaOptions, out: Path, splitter: Splitter, rng: np.random.Generator, failures: list[str]
) -> tuple[Clips, Split[ClipMember]]:
    cutting = Cutting(options.segmenter, options.cut_rate)
    clips = load_clip_sources(out, Path(options.sources), cutting, failures)
    fov = math.radians(options.sources_fov)
    members = [ClipMember(clips.path(number), each.label, fov) for number, each in enumerate(clips.segments)]
    test = _test_clips(Path(options.sources), clips, splitter, rng)
    return clips, divided(members, test)


def _test_clips(path: Path, clips: Clips, splitter: Splitter, rng: np.random.Generator) -> list[bool]:
    """Whether each segment is for test scenes: some of every kind that has several files, else some of all.

    Raises:
        InputError: one file, and two splits.
    """
    hashes = [{cached_sha256(each.video), cached_sha256(each.audio)} for each in clips.segments]
    found, labels = groups(hashes), [each.label for each in clips.segments]
    kind = dict(zip(reversed(found), reversed(labels), strict=True))
    several = sorted(label for label, count in Counter(kind.values()).items() if count > 1)
    if not several or splitter.share in (0, 1):
        return _named(path, splitter, hashes, rng)
    test = [False] * len(found)
    for label in several:
        numbers = [number for number, group in enumerate(found) if kind[group] == label]
        tested = _named(path, splitter, [hashes[number] for number in numbers], rng)
        for number, each in zip(numbers, tested, strict=True):
            test[number] = each
    splitter.keep([each for each, group in zip(hashes, found, strict=True) if kind[group] not in several])
    return test


def _named(path: Path, splitter: Splitter, hashes: Sequence[set[str]], rng: np.random.Generator) -> list[bool]:
    try:
        return splitter.held_out([()] * len(hashes), hashes, rng, "source files")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
