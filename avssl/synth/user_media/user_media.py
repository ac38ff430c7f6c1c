"""All media of a user that scenes are made of, split into those of training and those of test scenes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from avssl.io.hashing import cached_sha256
from avssl.synth.user_clips.clip_object import ClipCast, ClipMember
from avssl.synth.user_clips.clip_sources import Clips, load_clip_sources
from avssl.synth.user_clips.cutouts import Cutting
from avssl.synth.user_media.ambience_recording import AmbienceExcerpt, Recording, load_recordings
from avssl.synth.user_media.background_image import BackgroundImage, load_backgrounds
from avssl.synth.user_media.media_files import Split, groups, held_out
from avssl.synth.user_media.room_response import ResponseFile, load_rooms

T = TypeVar("T")

SPLITS = 1 << 20
"""Random stream of the splits, besides those of scenes."""
CLIPS, BACKGROUNDS, ROOMS, AMBIENCE = range(4)
"""Independent random streams of the splits."""


class MediaChoice(Protocol):
    """Options that name a user's media; see `avssl.synth.user_media.media_dataset.MediaOptions`."""

    seed: int
    test_share: float
    sources: str
    segmenter: str
    cut_rate: float
    sources_fov: float
    backgrounds: str
    rirs: str
    rir_format: str
    ambience: str
    ambience_format: str
    ambience_snr: float


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

    def surroundings(self, rng: np.random.Generator, count: int, test: bool) -> dict[str, object]:
        """Draw background, responses of the sources and ambience of a scene of `count` objects, as its fields."""
        seed, position, yaw = int(rng.integers(2**31)), float(rng.random()), float(rng.uniform(-math.pi, math.pi))
        picks = rng.random(3)
        found: dict[str, object] = {}
        if self.backgrounds is not None:
            found["image"] = BackgroundImage(_pick(self.backgrounds.of(test), picks[0]), seed)
        if self.rooms is not None:
            room = _pick(self.rooms.of(test), picks[1])
            order = rng.permutation(len(room)).tolist()
            found["responses"] = tuple(room[order[number % len(order)]] for number in range(count))
        if self.recordings is not None:
            found["ambience"] = AmbienceExcerpt(_pick(self.recordings.of(test), picks[2]), position, yaw, self.snr)
        return found

    def settings(self) -> dict[str, object]:
        """Settings that the scenes depend on."""
        return self.identity


def _pick(items: Sequence[T], share: float) -> T:
    return items[int(share * len(items))]


def load_user_media(options: MediaChoice, out: Path, panoramic: bool, failures: list[str]) -> UserMedia:
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
    share = options.test_share
    streams = [np.random.default_rng((options.seed, SPLITS, stream)) for stream in range(4)]
    identity: dict[str, object] = {"test_share": share}
    clips, casts = None, None
    if options.sources:
        clips, casts = _load_clips(options, out, streams[CLIPS], failures)
        identity |= clips.settings() | {"sources_fov": options.sources_fov}
    backgrounds, rooms, recordings = None, None, None
    if options.backgrounds:
        backgrounds, identity["backgrounds"] = load_backgrounds(
            Path(options.backgrounds), panoramic, share, streams[BACKGROUNDS], failures
        )
    if options.rirs:
        rooms, identity["rirs"] = load_rooms(Path(options.rirs), options.rir_format, share, streams[ROOMS], failures)
        identity["rir_format"] = options.rir_format
    if options.ambience:
        recordings, identity["ambience"] = load_recordings(
            Path(options.ambience), options.ambience_format, share, streams[AMBIENCE], failures
        )
        identity |= {"ambience_format": options.ambience_format, "ambience_snr": options.ambience_snr}
    return UserMedia(identity, clips, casts, backgrounds, rooms, recordings, options.ambience_snr)


def _load_clips(
    options: MediaChoice, out: Path, rng: np.random.Generator, failures: list[str]
) -> tuple[Clips, Split[ClipMember]]:
    cutting = Cutting(options.segmenter, options.cut_rate)
    clips = load_clip_sources(out, Path(options.sources), cutting, failures)
    fov = math.radians(options.sources_fov)
    members = [ClipMember(clips.path(number), each.label, fov) for number, each in enumerate(clips.stretches)]
    found = groups([{cached_sha256(each.video), cached_sha256(each.audio)} for each in clips.stretches])
    test = _held_out_clips(found, [each.label for each in clips.stretches], options.test_share, rng)
    train, tested = (
        tuple(member for member, group in zip(members, found, strict=True) if (group in test) == wanted)
        for wanted in (False, True)
    )
    return clips, Split(train, tested)


def _held_out_clips(found: Sequence[int], labels: Sequence[str], share: float, rng: np.random.Generator) -> set[int]:
    """Groups of clips that only test scenes are made of: of every kind that has two, else of all kinds together.

    Args:
        found: number of the group of each clip.
        labels: kind of each clip.
        share: of the test scenes.
        rng: where the randomness comes from.

    Raises:
        InputError: one group, and two splits.
    """
    kinds: defaultdict[str, list[int]] = defaultdict(list)
    for group, label in dict(zip(reversed(found), reversed(labels), strict=True)).items():
        kinds[label].append(group)
    several = [sorted(each) for _, each in sorted(kinds.items()) if len(each) > 1]
    pools = several if several and 0 < share < 1 else [sorted(set(found))]
    return {pool[number] for pool in pools for number in held_out(len(pool), share, rng, "source files")}
