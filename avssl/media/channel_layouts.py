"""Channels as a file has them -> ambiX (W, Y, Z, X; SN3D), by a declared layout or by the rules for undeclared ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from avssl.errors import InputError
from avssl.plugins import hint
from avssl.spatial.ambisonics import convert

ABSENT = -1
UNUSED_LEVEL_DB = -45.0
"""Below W: what lossy coding may leave in the unused channels of YouTube's 5.1; real 5.1 sound leaves -30 dB there."""


@dataclass(frozen=True)
class SoundLayout:
    """Where the channels of a first-order sound field stand in a file."""

    name: str
    """As the manifest reports it."""
    channels: tuple[int, int, int, int]
    """Native channel for each of the four of `convention`; -1: the file lacks it, silence instead."""
    convention: str = "ambix"
    """Order and gain of these four, one of `avssl.spatial.ambisonics.convert`."""
    unused: tuple[int, ...] = ()
    """Native channels that carry nothing if the layout is what it seems."""

    def to_ambix(self, native: Tensor) -> Tensor:
        """Sound `(native channels, samples)` as ambiX `(4, samples)`."""
        silence = torch.zeros_like(native[:1])
        return convert(torch.cat([native, silence])[list(self.channels)], self.convention, "ambix")

    def check_unused(self, energy: Tensor) -> None:
        """Refuse sound that only looks like this layout.

        Args:
            energy: sum of squares of each native channel, `(native channels,)`.

        Raises:
            InputError: a channel that should be unused carries sound.
        """
        for channel in self.unused:
            level = 10 * math.log10(float(energy[channel] / energy[self.channels[0]].clamp_min(1e-20)) + 1e-20)
            if level > UNUSED_LEVEL_DB:
                raise InputError(
                    f"{len(energy)}-channel surround, not ambisonics: {self.name} leaves channel {channel} unused, "
                    f"here it is at {level:.0f} dB of channel {self.channels[0]}"
                )


_ACN = (0, 1, 2, 3)
# YouTube's 327 is 5.1 AAC: FL FR FC LFE BL BR carry X, Y, W, nothing, Z, nothing.
_DECLARED = {
    "ambix": SoundLayout("ambix", _ACN),
    "acn-n3d": SoundLayout("acn-n3d", _ACN, "acn-n3d"),
    "fuma": SoundLayout("fuma", _ACN, "fuma"),
    "youtube-327": SoundLayout("youtube-327", (2, 1, 4, 0), unused=(3, 5)),
    "wxy": SoundLayout("wxy", (0, 2, ABSENT, 1)),
    "wyx": SoundLayout("wyx", (0, 1, ABSENT, 2)),
    "first4": SoundLayout("first4", _ACN),
}
NAMES = tuple(_DECLARED)
PAIRS = ("stereo", "binaural")
"""Sound for two ears, left and right: prepared as it stands, and never guessed."""
_EXACT = {"youtube-327": 6, "wxy": 3, "wyx": 3}


def declared_layout(name: str, channels: int) -> SoundLayout:
    """The layout that a user declared: the three-letter ones have SN3D gain and no Z.

    Args:
        name: one of `NAMES`; the full-sphere ones take the first four of 9, 16, 25... channels, first4 of any number.
        channels: how many the file has.

    Raises:
        InputError: the file has another number of channels.
    """
    layout = _DECLARED[name]
    if name in _EXACT and channels != _EXACT[name]:
        raise InputError(f"{name} sound has {_EXACT[name]} channels, this has {channels}")
    if name == "first4" and channels < 4:
        raise InputError(f"first4 needs at least 4 channels, this sound has {channels}")
    if name not in _EXACT and name != "first4" and not _is_full_sphere(channels):
        raise InputError(f"{name} sound has 4, 9, 16, ... channels, this has {channels}; first4 would take the first 4")
    return layout


def recognised_layout(channels: int, codec: str) -> SoundLayout:
    """The layout of undeclared sound, by its number of channels and its codec.

    Args:
        channels: how many the file has.
        codec: FFmpeg's name, such as aac, opus, vorbis, pcm_s16le.

    Raises:
        InputError: it cannot be first-order ambisonics, or it could be several things.
    """
    if channels in (1, 2):
        raise InputError(
            f"expected ambisonics (4 channels or more), this sound is {_count(channels)}"
            f"{'; if two ears are wanted, declare --channel-layout stereo or binaural' if channels == 2 else ''}"
        )
    if channels == 3:
        return _DECLARED["wyx"]
    if channels == 6 and codec == "aac":
        return _DECLARED["youtube-327"]
    if channels == 4:
        return _DECLARED["ambix"]
    if _is_full_sphere(channels):
        return SoundLayout("hoa-acn", _ACN)
    raise InputError(
        f"expected ambisonics (4, 9, 16, ... channels, or YouTube's 6-channel aac), this is {channels}-channel {codec} "
        "surround, not ambisonics; if it is, declare --channel-layout"
    )


def check_name(name: str) -> None:
    """Refuse a layout that nobody knows.

    Raises:
        InputError: neither auto nor one of `NAMES` or `PAIRS`.
    """
    known = ("auto", *NAMES, *PAIRS)
    if name not in known:
        raise InputError(f"unknown sound layout {name!r}{hint(name, known)}; {', '.join(known)}")


def check_pair(name: str, channels: int) -> None:
    """Refuse sound that is not for two ears.

    Args:
        name: one of `PAIRS`.
        channels: how many the file has.

    Raises:
        InputError: not two.
    """
    if channels != 2:
        raise InputError(f"{name} sound has 2 channels, this is {_count(channels)}")


def _count(channels: int) -> str:
    return {1: "mono", 2: "stereo"}.get(channels, f"{channels}-channel")


def _is_full_sphere(channels: int) -> bool:
    return channels >= 4 and math.isqrt(channels) ** 2 == channels
