"""Mux copied video with new audio into an mp4 with spatial metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream
from torch import Tensor

from avssl.errors import InputError
from avssl.io.atomic import replacing, scratch_folder
from avssl.media.audio_encode import decode_time, encoded
from avssl.media.container_cache import Opened, open_stream, reading
from avssl.media.mp4.faststart import finish
from avssl.media.mp4.isobmff import Box
from avssl.media.mp4.metadata import clear_sphere, entries, mark_ambisonics, mark_sphere
from avssl.media.video_reader import VideoReader
from avssl.media.video_writer import require_folder, write_video
from avssl.media.write_errors import writing

COPIED = {".mp4": frozenset(("h264", "hevc", "av1", "vp9")), ".mov": frozenset(("h264", "hevc"))}
"""Codecs copied into each container; others are re-encoded."""
LAYOUTS = {1: "mono", 2: "stereo", 4: "4.0", 6: "5.1"}
"""FFmpeg layout by channel count: those with a native AAC configuration, so that decoders keep the order."""
BIT_RATE = 128_000
"""Bits per second and channel: half of it rotates the field direction by a degree."""
BITS = 5
"""Bits per sample at low rates: AAC allows 6, and 3 increases the error at 8 kHz by 11 dB."""
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Hz."""
# Noise substitution and intensity stereo do not preserve the phase between channels. The fast coder is three times
# as fast as the other at these rates and as accurate.
AAC = {"aac_pns": "0", "aac_is": "0", "aac_coder": "fast"}
GOP, CRF = 50, 18.0
REORDER = 64
"""Packets inspected for a decoding time stamp."""


def write_spatial_mp4(
    path: Path | str,
    frames: Path | str,
    audio: Iterable[Tensor],
    sample_rate: int,
    *,
    panoramic: bool,
    codec: str = "aac",
) -> None:
    """Copy the video stream of a file, add new audio, and write spatial metadata.

    Audio starts at the start of the source file. Codecs that the container does not support, and AVI, are re-encoded
    as H.264. Memory does not grow with the length. The header comes first (fast start).

    Args:
        path: the `.mp4` to write, or `.mov`.
        frames: source of the video; its largest stream is used.
        audio: consecutive blocks `(channels, samples)`, full scale 1: 4 channels are ambiX (W, Y, Z, X; SN3D) and
            marked so, 2 are left and right, 6 are L R C LFE Ls Rs.
        sample_rate: Hz; YouTube requires 48,000.
        panoramic: the video is full equirectangular.
        codec: `aac`, or `pcm` (24 bits, lossless), accepted by YouTube in a `.mov`.

    Raises:
        InputError: no video, no audio, an unsupported number of channels, blocks that differ or are not finite, or
            another codec or suffix.
        OSError: the file cannot be written.
    """
    target, source = Path(path), Path(frames)
    if target.suffix.lower() not in (".mp4", ".mov") or codec not in ("aac", "pcm"):
        raise InputError(f"{target}: expected a .mp4 or .mov with aac or pcm sound, got {codec} in {target.suffix!r}")
    if codec == "aac" and sample_rate not in AAC_RATES:
        raise InputError(f"{target}: aac has rates of {', '.join(map(str, AAC_RATES))} Hz, not {sample_rate}")
    require_folder(target)
    blocks = _checked(target, audio)
    first = next(blocks)
    blocks = chain([first], blocks)
    header = VideoReader(source)
    with replacing(target) as part:
        if _is_copied(source, header, COPIED[target.suffix.lower()]):
            _mux(target, part, source, header.stream, blocks, len(first), sample_rate, codec)
        else:
            with writing(target), scratch_folder(target) as folder:
                video = folder / "video.mp4"
                _encode(video, header)
                _mux(target, part, video, 0, blocks, len(first), sample_rate, codec)
        with writing(target):
            finish(part, lambda moov: _mark(moov, panoramic, len(first) == 4))


def _mark(moov: Box, panoramic: bool, ambisonic: bool) -> None:
    for track in moov.all(b"trak"):
        handler = track.find(b"mdia", b"hdlr")
        kind = handler.body[8:12] if handler else b""
        if kind == b"vide":
            mark_sphere(track) if panoramic else clear_sphere(track)
        if kind == b"soun" and ambisonic:
            for entry in entries(Box(b"moov", b"", [track])):
                mark_ambisonics(entry)


def _is_copied(path: Path, header: VideoReader, codecs: frozenset[str]) -> bool:
    """Whether the video codec and time stamps allow a stream copy (AVI has no reliable time stamps)."""
    with reading(path), open_stream(path, VideoStream, header.stream) as opened:
        if opened.stream.codec_context.name not in codecs or opened.container.format.name == "avi":
            return False
        first = [packet for packet in islice(opened.packets(), REORDER) if packet.size]
        return all(packet.pts is not None for packet in first) and any(packet.dts is not None for packet in first)


def _encode(path: Path, images: VideoReader) -> None:
    """Re-encode the video as H.264, upright, with square pixels."""
    rate = images.frame_rate or 25.0
    times = np.arange(max(1, round(images.length() * rate))) / rate
    height, width = images.size
    frames = images.frames(list(times), (_even(height), _even(width)))
    write_video(path, frames, rate, gop=GOP, crf=CRF)


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))


def _mux(
    target: Path, part: Path, source: Path, stream: int, blocks: Iterator[Tensor], channels: int, rate: int, codec: str
) -> None:
    """Copy video packets and encode audio, interleaved in time; the header still comes last."""
    form = "mov" if target.suffix.lower() == ".mov" else "mp4"
    with (
        reading(source),
        open_stream(source, VideoStream, stream) as opened,
        writing(target),
        av.open(f"file:{part}", "w", format=form) as container,
    ):
        video = container.add_stream_from_template(opened.stream)
        audio_stream = _audio_stream(container, channels, rate, codec)
        for packet in merge(_frames(opened, video), encoded(audio_stream, blocks, rate), key=decode_time):
            container.mux(packet)


def _audio_stream(container: Any, channels: int, rate: int, codec: str) -> AudioStream:
    options = AAC if codec == "aac" else {}
    stream: AudioStream = container.add_stream(
        "aac" if codec == "aac" else "pcm_s24le", rate=rate, layout=LAYOUTS[channels], options=options
    )
    if codec == "aac":
        stream.bit_rate = channels * min(BIT_RATE, BITS * rate)
    return stream


def _frames(opened: Opened[VideoStream], video: Any) -> Iterator[Packet[Any]]:
    """Packets of a stream, shifted so that the file starts at 0."""
    whole = (packet for packet in opened.packets() if packet.size and packet.pts is not None)
    for packet in _ordered(whole, opened):
        assert packet.dts is not None
        assert packet.pts is not None
        packet.dts, packet.pts = packet.dts - opened.origin, packet.pts - opened.origin
        packet.stream = video
        yield packet


def _ordered(packets: Iterator[Packet[Any]], opened: Opened[VideoStream]) -> Iterator[Packet[Any]]:
    """Fill in missing decoding time stamps: Matroska omits the first few."""
    waiting: list[Packet[Any]] = []
    for packet in packets:
        waiting.append(packet)
        if packet.dts is None:
            continue
        step = packet.duration or round(1 / float(opened.stream.average_rate or 25) / opened.tick)
        for back, late in enumerate(reversed(waiting)):
            late.dts = packet.dts - back * step
        yield from waiting
        waiting = []


def _checked(path: Path, audio: Iterable[Tensor]) -> Iterator[Tensor]:
    """Validate blocks and skip empty ones."""
    channels = samples = 0
    for block in audio:
        if block.ndim != 2 or len(block) not in LAYOUTS or (channels and len(block) != channels):
            expected = f"({channels}, samples)" if channels else "(1, 2, 4 or 6 channels, samples)"
            raise InputError(f"{path}: expected blocks of sound {expected}, got {tuple(block.shape)}")
        if not bool(block.isfinite().all()):
            raise InputError(f"{path}: expected finite audio, got NaN or Inf")
        channels, samples = len(block), samples + block.shape[1]
        if block.shape[1]:
            yield block
    if not samples:
        raise InputError(f"{path}: expected sound, there is none")
