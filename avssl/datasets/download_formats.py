"""Choice among the formats that a site has of one video: ambisonic sound first, equirectangular frames first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avssl.errors import InputError
from avssl.media.projection_check import SPHERE_ASPECT, is_near

Format = Mapping[str, Any]
"""A format as yt-dlp describes it."""
ITAGS = {"338": ("opus", 4), "339": ("vorbis", 4), "327": ("mp4a", 6)}
"""YouTube's ambisonic formats -> codec and channels, where the site does not state them."""
_SPATIAL = (("opus", 4), ("vorbis", 4), ("mp4a", 6), ("aac", 6))
"""Codec and channels, best first: 4-channel Opus and Vorbis are lossy once, of all bands; AAC leaves two channels."""
_UNKNOWN = 9


class NoFormatError(InputError):
    """A video that the site has not in a form that is wanted."""


def choose_formats(formats: Sequence[Format], spatial: bool, max_height: int) -> tuple[Format, Format]:
    """Video and audio format of one video.

    Args:
        formats: all that the site has; those with both video and audio are left out.
        spatial: whether ambisonics and 360-degree frames are wanted; else stereo and ordinary frames.
        max_height: pixels; the highest video up to it, or else the lowest above it.

    Returns:
        The video and the audio format.

    Raises:
        NoFormatError: no ambisonic or stereo audio, or no video.
    """
    audio = [each for each in formats if _has(each, "acodec") and not _has(each, "vcodec")]
    videos = [each for each in formats if _has(each, "vcodec") and not _has(each, "acodec")]
    usable = [each for each in audio if not spatial or _audio_rank(each) < _UNKNOWN]
    if not usable:
        found = ", ".join(sorted({f"{codec} {count or '?'}" for codec, count in map(_sound, audio)})) or "none"
        wanted = "4-channel opus or vorbis, or 6-channel aac" if spatial else "audio"
        raise NoFormatError(f"expected {wanted}, the site has {found}")
    if not videos:
        raise NoFormatError("expected video apart from audio, the site has none")
    sound = min(usable, key=lambda each: (_audio_rank(each) if spatial else _stereo_rank(each), -_rate(each)))
    return min(videos, key=lambda each: _video_rank(each, spatial, max_height)), sound


def _has(each: Format, key: str) -> bool:
    return each.get(key) not in (None, "none")


def _rate(each: Format) -> float:
    return float(each.get("abr") or each.get("tbr") or 0)


def _sound(each: Format) -> tuple[str, int]:
    """Codec and channels; 0 if unknown."""
    codec, count = ITAGS.get(str(each.get("format_id")), (str(each.get("acodec")).split(".")[0], 0))
    return codec, int(each.get("audio_channels") or count)


def _audio_rank(each: Format) -> int:
    return _SPATIAL.index(_sound(each)) if _sound(each) in _SPATIAL else _UNKNOWN


def _stereo_rank(each: Format) -> int:
    return abs((_sound(each)[1] or 1) - 2)


def _video_rank(each: Format, spatial: bool, max_height: int) -> tuple[float, ...]:
    """Equirectangular before unknown frames of 2:1, before EAC (a mesh), before others; then by height and rate."""
    note, height = str(each.get("format_note") or "").lower(), int(each.get("height") or 0)
    sphere = bool(height) and is_near((each.get("width") or 0) / height, SPHERE_ASPECT)
    kind = 0 if "equirectangular" in note else 1 if sphere else 2 if "mesh" in note else 3
    high = height > max_height
    return (kind if spatial else 0, high, height if high else -height, -float(each.get("tbr") or 0))
