"""Convert native channels to ambiX (W, Y, Z, X; SN3D) by a declared or inferred channel layout."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from avssl.errors import InputError
from avssl.media.channel_marks import ABSENT, FUMA_HEIGHT, ChannelMark, is_square
from avssl.plugins import hint
from avssl.spatial.ambisonics import convert

UNUSED_LEVEL_DB = -45.0
"""Maximum level relative to W in the unused channels of YouTube's 5.1 (lossy coding residue; real 5.1: -30 dB)."""


@dataclass(frozen=True)
class ChannelLayout:
    """Channel order and normalization of a first-order sound field in a file."""

    name: str
    """Name in the manifest."""
    channels: tuple[int, int, int, int]
    """Native channel of each of the four components of `convention`; -1: missing, zeros instead."""
    convention: str = "ambix"
    """Order and normalization of the components, see `avssl.spatial.ambisonics.convert`."""
    unused: tuple[int, ...] = ()
    """Native channels that are silent in this layout."""

    def to_ambix(self, native: Tensor) -> Tensor:
        """Convert audio `(native channels, samples)` to ambiX `(4, samples)`."""
        silence = torch.zeros_like(native[:1])
        return convert(torch.cat([native, silence])[list(self.channels)], self.convention, "ambix")

    def check_unused(self, energy: Tensor) -> None:
        """Validate that the unused channels are silent.

        Args:
            energy: sum of squares of each native channel, `(native channels,)`.

        Raises:
            InputError: an unused channel has a signal.
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
    "ambix": ChannelLayout("ambix", _ACN),
    "acn-n3d": ChannelLayout("acn-n3d", _ACN, "acn-n3d"),
    "fuma": ChannelLayout("fuma", _ACN, "fuma"),
    "youtube-327": ChannelLayout("youtube-327", (2, 1, 4, 0), unused=(3, 5)),
    "wxy": ChannelLayout("wxy", (0, 2, ABSENT, 1)),
    "wyx": ChannelLayout("wyx", (0, 1, ABSENT, 2)),
    "first4": ChannelLayout("first4", _ACN),
}
NAMES = tuple(_DECLARED)
PAIRS = ("stereo", "binaural")
"""Two-channel layouts (left, right): stored unchanged, only when declared."""
_EXACT = {"youtube-327": 6, "wxy": 3, "wyx": 3}


def declared_layout(name: str, channels: int) -> ChannelLayout:
    """Look up a declared layout; wxy and wyx have SN3D normalization and no Z.

    Args:
        name: one of `NAMES`; full-sphere layouts use the first 4 of 9, 16, 25... channels, first4 of any number, fuma
            also of the mixed orders of B-format files (3, 5 to 8, 11 channels).
        channels: channel count of the file.

    Raises:
        InputError: the file has another number of channels.
    """
    layout = _DECLARED[name]
    if name == "fuma" and channels in FUMA_HEIGHT:
        return layout if FUMA_HEIGHT[channels] else replace(layout, channels=(0, 1, 2, ABSENT))
    if name in _EXACT and channels != _EXACT[name]:
        raise InputError(f"{name} sound has {_EXACT[name]} channels, this has {channels}")
    if name == "first4" and channels < 4:
        raise InputError(f"first4 needs at least 4 channels, this sound has {channels}")
    if name not in _EXACT and name != "first4" and not is_square(channels):
        raise InputError(f"{name} sound has 4, 9, 16, ... channels, this has {channels}; first4 would take the first 4")
    return layout


def find_layout(name: str, channels: int, codec: str, mark: ChannelMark | None) -> ChannelLayout:
    """Look up a declared layout, or infer it where none is declared.

    Args:
        name: auto, or one of `NAMES`, which overrides the declaration of the file.
        channels: channel count of the file.
        codec: FFmpeg's name.
        mark: declaration of the file; None without one.

    Raises:
        InputError: see `declared_layout` and `infer_layout`.
    """
    return declared_layout(name, channels) if name in NAMES else infer_layout(channels, codec, mark)


def infer_layout(channels: int, codec: str, mark: ChannelMark | None = None) -> ChannelLayout:
    """Infer the layout of audio by the declaration of its file, or else from channel count and codec.

    Args:
        channels: channel count of the file.
        codec: FFmpeg's name, such as aac, opus, vorbis, pcm_s16le.
        mark: declaration of the file; None without one.

    Raises:
        InputError: not first-order ambisonics, or ambiguous, or declared in a way that is not converted.
    """
    if mark is not None:
        return _marked_layout(mark, channels)
    if channels in (1, 2):
        raise InputError(
            f"expected ambisonics (4 channels or more), this sound is {_count(channels)}"
            f"{'; for two-channel audio, declare --channel-layout stereo or binaural' if channels == 2 else ''}"
        )
    if channels == 3:
        return _DECLARED["wyx"]
    if channels == 6 and codec == "aac":
        return _DECLARED["youtube-327"]
    if channels == 4:
        return _DECLARED["ambix"]
    if is_square(channels):
        return ChannelLayout("hoa-acn", _ACN)
    raise InputError(
        f"expected ambisonics (4, 9, 16, ... channels, or YouTube's 6-channel aac), this is {channels}-channel {codec} "
        "surround, not ambisonics; if it is, declare --channel-layout"
    )


def _marked_layout(mark: ChannelMark, channels: int) -> ChannelLayout:
    if mark.refusal:
        names = "ambix, acn-n3d or fuma" if is_square(channels) else "first4 or fuma"
        raise InputError(f"{mark.refusal}; to read it all the same, declare --channel-layout {names}")
    whole = mark.convention == "ambix" and mark.channels == _ACN and channels > len(_ACN) and is_square(channels)
    return ChannelLayout("hoa-acn" if whole else mark.convention, mark.channels, mark.convention)


def check_name(name: str) -> None:
    """Validate a layout name.

    Raises:
        InputError: neither auto nor one of `NAMES` or `PAIRS`.
    """
    known = ("auto", *NAMES, *PAIRS)
    if name not in known:
        raise InputError(f"unknown sound layout {name!r}{hint(name, known)}; {', '.join(known)}")


def check_pair(name: str, channels: int) -> None:
    """Validate the channel count of a two-channel layout.

    Args:
        name: one of `PAIRS`.
        channels: channel count of the file.

    Raises:
        InputError: not two.
    """
    if channels != 2:
        raise InputError(f"{name} sound has 2 channels, this is {_count(channels)}")


def _count(channels: int) -> str:
    return {1: "mono", 2: "stereo"}.get(channels, f"{channels}-channel")
