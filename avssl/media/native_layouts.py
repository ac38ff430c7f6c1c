"""Channel layouts of audio decoders without a channel map, which PyAV frees twice.

PyAV 17.1 to 18.1 copies FFmpeg's `AVChannelLayout` by value, map included, and releases each copy: decoding audio with a
custom channel order ends the process ("double free or corruption"). Until a release keeps the map of its own, decoders
get a layout without one before they are opened; channels keep their stored order.
"""

from __future__ import annotations

from av.audio.codeccontext import AudioCodecContext
from av.audio.layout import AudioLayout
from av.container import InputContainer

OPUS_HEAD = b"OpusHead"
OPUS_FAMILY = 18
"""Byte of the mapping family in an Opus header (RFC 7845, section 5.1)."""
_AMBISONIC, _DISCRETE = 2, 255


def release_channel_maps(container: InputContainer) -> None:
    """Replace custom channel orders in all audio decoders of a container that has just been opened.

    Args:
        container: none of its streams is decoded yet.
    """
    for stream in container.streams.audio:
        if stream.codec_context is not None:
            _replace_layout(stream.codec_context)
            _declare_discrete(stream.codec_context)


def _replace_layout(context: AudioCodecContext) -> None:
    """Give the context a layout without a map; the old one, and its map, then have one owner."""
    old = context.layout
    custom = "+" in old.name or " channels" in old.name
    if old.nb_channels:
        context.layout = AudioLayout(f"{old.nb_channels} channels" if custom else old.name)


def _declare_discrete(context: AudioCodecContext) -> None:
    """Decode ambisonic Opus (RFC 8486, family 2) as discrete channels: with stereo beside it, its order is custom."""
    head = context.extradata or b""
    if head.startswith(OPUS_HEAD) and head[OPUS_FAMILY : OPUS_FAMILY + 1] == bytes([_AMBISONIC]):
        context.extradata = head[:OPUS_FAMILY] + bytes([_DISCRETE]) + head[OPUS_FAMILY + 1 :]
