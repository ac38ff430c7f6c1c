"""Generated audio and the video of the input as a container to a pipe."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.packet import Packet
from torch import Tensor

from avssl.io.live_paths import STANDARD
from avssl.media.write_errors import writing
from avssl_downstream.spatialize.live_input import LiveInput

LAYOUTS = {1: "mono", 2: "stereo", 4: "ambisonic 1", 6: "5.1", 8: "7.1", 9: "ambisonic 2"}
"""FFmpeg layout by channel count."""
CLUSTER = {"cluster_time_limit": "100", "flush_packets": "1"}
"""Matroska: milliseconds that a cluster waits for its end."""


class LiveOutput:
    """Container of 32-bit float audio and copied video, each packet written as soon as it is there.

    NUT for an input in NUT, which takes raw video too; otherwise Matroska.

    Args:
        path: `-` for standard output; a named pipe or a device.
        source: gives the video.
        channels: of the audio.

    Raises:
        OSError: it cannot be opened or written.
    """

    def __init__(self, path: Path, source: LiveInput, channels: int) -> None:
        self._name = Path("standard output") if path == STANDARD else path
        self._file = sys.stdout.buffer if path == STANDARD else path.open("wb")
        self._standard, self._zero, self._rate, self._position = path == STANDARD, source.zero, source.sample_rate, 0
        form = "nut" if source.format == "nut" else "matroska"
        with writing(self._name):
            self._container: Any = av.open(
                _Forward(self._file), "w", format=form, container_options=CLUSTER if form == "matroska" else {}
            )
            self._video: Any = self._container.add_stream_from_template(source.video)
            if source.video.codec_context.name == "rawvideo":  # its pixel format is its tag, which is not copied
                self._video.codec_context.codec_tag = source.video.codec_context.codec_tag
            self._audio: Any = self._container.add_stream("pcm_f32le", rate=source.sample_rate)
            self._audio.layout = LAYOUTS[channels]

    def copy(self, packet: Packet[Any]) -> None:
        """Write a packet of the video, its time stamps from 0."""
        shift = round(self._zero / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = self._video
        self._mux(packet)

    def write(self, block: Tensor) -> None:
        """Write the next block of audio, `(channels, samples)`."""
        samples = np.ascontiguousarray(block.cpu().numpy().T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=self._audio.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._position, Fraction(1, self._rate)
        self._position += block.shape[1]
        for packet in self._audio.encode(frame):
            self._mux(packet)

    def __enter__(self) -> LiveOutput:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the end of the container, after an error too: what was written so far is complete."""
        if isinstance(error, BrokenPipeError):
            return
        with writing(self._name):
            for packet in self._audio.encode(None):
                self._container.mux(packet)
            self._container.close()
        self._file.flush()
        if not self._standard:
            self._file.close()

    def _mux(self, packet: Packet[Any]) -> None:
        with writing(self._name):
            self._container.mux(packet)
        self._file.flush()


class _Forward:
    """A file that is written in one direction: FFmpeg seeks where it can."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        """Write all of it."""
        return int(self._file.write(data))
