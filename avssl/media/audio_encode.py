"""Encode audio into packets for a container."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import torch
from av.audio.stream import AudioStream
from av.packet import Packet
from torch import Tensor

_FORMS = {"aac": "fltp", "libmp3lame": "fltp", "pcm_s24le": "s32"}


def encoded(stream: AudioStream, blocks: Iterable[Tensor], rate: int) -> Iterator[Packet[Any]]:
    """Encode audio into packets in time order.

    Args:
        stream: AAC, MP3 or 24-bit PCM output stream.
        blocks: audio blocks `(channels, samples)`, full scale 1.
        rate: Hz.
    """
    form, position = _FORMS[stream.codec_context.name], 0
    for block in blocks:
        for chunk in torch.split(block, rate, 1):  # type: ignore[no-untyped-call]
            frame = _frame(chunk, form, stream.codec_context.layout.name)
            frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
            position += chunk.shape[1]
            yield from stream.encode(frame)
    yield from stream.encode(None)


def decode_time(packet: Packet[Any]) -> float:
    """Decoding time of a packet in seconds."""
    stamp = packet.dts if packet.dts is not None else packet.pts
    return float((stamp or 0) * packet.time_base)


def _frame(chunk: Tensor, form: str, layout: str) -> av.AudioFrame:
    samples = np.ascontiguousarray(chunk.float().cpu().numpy())
    if form == "fltp":
        return av.AudioFrame.from_ndarray(samples, format=form, layout=layout)
    whole = np.round(np.clip(samples.astype(np.float64), -1, 1 - 2**-23) * 2**23).astype(np.int32) << 8
    return av.AudioFrame.from_ndarray(np.ascontiguousarray(whole.T).reshape(1, -1), format=form, layout=layout)
