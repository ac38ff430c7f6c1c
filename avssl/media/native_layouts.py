"""Channel layouts of audio decoders without a channel map, which PyAV frees twice.

PyAV 17.1 to 18.1 copies FFmpeg's `AVChannelLayout` by value, map included, and releases each copy: decoding audio with
a custom channel order ends the process ("double free or corruption"). Until a release keeps a map of its own, decoders
get a layout without one before they are opened; channels keep their stored order.
"""

from __future__ import annotations

from av.audio.codeccontext import AudioCodecContext
from av.audio.layout import AudioLayout
from av.container import InputContainer

AMBISONIC_OPUS = 2
"""Mapping family of Opus whose channels are ambisonic, ACN and SN3D, perhaps with stereo behind."""
DECODED_OPUS = frozenset((-1, 0, 1, AMBISONIC_OPUS, 255))
"""Mapping families that FFmpeg decodes, and -1 for other codecs; 3 is ambisonics behind a matrix."""
_FAMILY, _DISCRETE = 18, 255


def release_channel_maps(container: InputContainer) -> None:
    """Replace custom channel orders in all audio decoders of a container that has just been opened.

    Args:
        container: none of its streams is decoded yet.
    """
    for stream in container.streams.audio:
        if stream.codec_context is not None:
            _replace_layout(stream.codec_context)


def opus_family(context: AudioCodecContext) -> int:
    """Channel mapping family of an Opus stream (RFC 7845, RFC 8486); -1 for other codecs."""
    head = context.extradata or b""
    return head[_FAMILY] if head.startswith(b"OpusHead") and len(head) > _FAMILY else -1


def declare_discrete(context: AudioCodecContext) -> None:
    """Decode ambisonic Opus as discrete channels: its decoder gives it a custom order with stereo beside it.

    Args:
        context: not opened yet.
    """
    head = context.extradata or b""
    if opus_family(context) == AMBISONIC_OPUS:
        context.extradata = head[:_FAMILY] + bytes([_DISCRETE]) + head[_FAMILY + 1 :]


def _replace_layout(context: AudioCodecContext) -> None:
    """Give the context a layout without a map; the old one, and its map, then have one owner."""
    old = context.layout
    custom = "+" in old.name or " channels" in old.name
    if old.nb_channels:
        context.layout = AudioLayout(f"{old.nb_channels} channels" if custom else old.name)
