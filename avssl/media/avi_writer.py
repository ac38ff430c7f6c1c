"""AVI writer (Xvid MPEG-4 video, MP3 audio), the format of action recognition datasets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.packet import Packet
from av.video.reformatter import ColorRange, Colorspace

from avssl.errors import InputError
from avssl.io.atomic import replacing
from avssl.media.audio_encode import decode_time, encoded
from avssl.media.write_errors import writing

MPEG4 = {"qmin": "3", "qmax": "3", "g": "12"}
"""Constant quantizer: quality does not depend on motion."""
LAYOUTS = {1: "mono", 2: "stereo"}


def write_avi(
    path: Path | str, frames: Iterable[np.ndarray], frame_rate: float, audio: np.ndarray | None, sample_rate: int
) -> None:
    """Write an AVI with Xvid MPEG-4 video and optional MP3 audio.

    Args:
        path: the file to write.
        frames: uint8 RGB `(height, width, 3)` each, even sides.
        frame_rate: frames per second.
        audio: `(1 or 2, samples)`, full scale 1; None writes no audio stream.
        sample_rate: Hz, a rate supported by MP3.

    Raises:
        InputError: no frames, odd sides, or more channels.
        OSError: the file cannot be written.
    """
    target, frames = Path(path), iter(frames)
    first = next(frames, None)
    if first is None or first.shape[0] % 2 or first.shape[1] % 2:
        raise InputError(f"{target}: expected frames of even sides, got {'none' if first is None else first.shape}")
    if audio is not None and len(audio) not in LAYOUTS:
        raise InputError(f"{target}: expected audio of 1 or 2 channels, got {len(audio)}")
    with replacing(target) as part, writing(target), av.open(f"file:{part}", "w", format="avi") as container:
        streams = [_frames(_video_stream(container, first, frame_rate), chain([first], frames))]
        if audio is not None:
            audio_stream = container.add_stream("libmp3lame", rate=sample_rate, layout=LAYOUTS[len(audio)])
            streams.append(_shift_to_zero(encoded(audio_stream, [torch.from_numpy(audio)], sample_rate)))
        for packet in merge(*streams, key=decode_time):
            container.mux(packet)


def _video_stream(container: Any, first: np.ndarray, frame_rate: float) -> Any:
    stream = container.add_stream("mpeg4", rate=Fraction(frame_rate).limit_denominator(1001), options=MPEG4)
    stream.height, stream.width, stream.pix_fmt = *first.shape[:2], "yuv420p"
    stream.codec_tag = "xvid"
    context = stream.codec_context
    context.thread_count = 1
    context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
    return stream


def _frames(stream: Any, frames: Iterable[np.ndarray]) -> Iterator[Packet[Any]]:
    for number, frame in enumerate(frames):
        image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        image.pts, image.time_base = number, 1 / stream.codec_context.framerate
        yield from stream.encode(image)
    yield from stream.encode(None)


def _shift_to_zero(packets: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
    """Shift packets to start at 0: AVI cannot store the negative times of the encoder delay."""
    begins: int | None = None
    for packet in packets:
        assert packet.dts is not None
        begins = packet.dts if begins is None else begins
        packet.pts = packet.dts = packet.dts - begins
        yield packet
