import os
import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

MEDIA = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.fixture
def media():
    """Path of a real file; the test skips, saying so, where it is missing."""

    def find(name):
        if not (MEDIA / name).is_file():
            pytest.skip(f"real media missing: {MEDIA / name} (set AVSSL_TEST_MEDIA)")
        return MEDIA / name

    return find


@pytest.fixture
def sines():
    """Slowly swelling sinusoids, a frequency a channel: `(channels, samples)`, and the frequencies."""

    def make(channels, seconds=6.0, rate=48000):
        frequencies = 200.0 * 1.5 ** np.arange(channels)
        time = np.arange(round(seconds * rate)) / rate
        swell = 0.5 + 0.4 * np.sin(2 * np.pi * (0.3 + 0.1 * np.arange(channels))[:, None] * time)
        return (0.2 * swell * np.sin(2 * np.pi * frequencies[:, None] * time)).astype(np.float32), frequencies

    return make


@pytest.fixture
def encode():
    """Encode sound with PyAV: path, FFmpeg's codec and layout names, `(channels, samples)`."""

    def write(path, codec, layout, audio, rate=48000, options=None):
        packed = codec == "libopus"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate, layout=layout, options=options or {})
            stream.bit_rate = 512000
            stream.codec_context.open()
            block = stream.codec_context.frame_size or 960
            for start in range(0, audio.shape[1], block):
                piece = np.ascontiguousarray(audio[:, start : start + block])
                piece = np.ascontiguousarray(piece.T).reshape(1, -1) if packed else piece
                frame = av.AudioFrame.from_ndarray(piece, format="flt" if packed else "fltp", layout=layout)
                frame.sample_rate, frame.pts = rate, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture
def counted():
    """Frames that carry their number as brightness: uint8 `(height, width, 3)` each."""

    def make(count, height=64, width=128, step=5):
        return [np.full((height, width, 3), 10 + step * (number % 48), np.uint8) for number in range(count)]

    return make


def element(kind, *bodies):
    """An EBML element: identifier as a number, body."""
    body = b"".join(bodies)
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + (0x01 << 56 | len(body)).to_bytes(8, "big") + body


def number(value):
    return value.to_bytes(8, "big")


@pytest.fixture
def matroska():
    """Write a Matroska file of JPEG frames by hand, so that its header can say anything.

    Path, frames, time stamps in milliseconds; `video`: further elements of Video; `track`: of TrackEntry; `duration`:
    milliseconds in Info; `tracks`: further entries; `codec`: of the frames; `audio`: time stamps of silent PCM blocks
    of 100 ms, mono, 8 kHz.
    """

    def write(path, frames, stamps, *, video=b"", track=b"", duration=None, tracks=b"", codec=b"V_MJPEG", audio=()):
        height, width = frames[0].shape[:2]
        coded = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in frames]
        size = element(0xB0, number(width)) + element(0xBA, number(height))
        entry = element(0xAE, element(0xD7, number(1)), element(0x73C5, number(1)), element(0x83, number(1)),
                        element(0x86, codec), track, element(0xE0, size, video))  # fmt: skip
        sound = element(0xAE, element(0xD7, number(2)), element(0x73C5, number(2)), element(0x83, number(2)),
                        element(0x86, b"A_PCM/INT/LIT"),
                        element(0xE1, element(0xB5, struct.pack(">d", 8000.0)), element(0x9F, number(1)),
                                element(0x6264, number(16))))  # fmt: skip
        blocks = [(stamp, 1, data) for stamp, data in zip(stamps, coded, strict=True)]
        blocks += [(stamp, 2, bytes(1600)) for stamp in audio]
        clusters = [
            element(0x1F43B675, element(0xE7, number(stamp)), element(0xA3, bytes([0x80 | of, 0, 0, 0x80]), data))
            for stamp, of, data in sorted(blocks, key=lambda each: each[0] if audio else 0)
        ]
        lasts = b"" if duration is None else element(0x4489, struct.pack(">d", float(duration)))
        info = element(0x1549A966, element(0x2AD7B1, number(1_000_000)), lasts)
        header = element(
            0x1A45DFA3, element(0x4282, b"matroska"), element(0x4287, number(4)), element(0x4285, number(2))
        )
        head = element(0x1654AE6B, entry, tracks, sound if audio else b"")
        path.write_bytes(header + element(0x18538067, info, head, *clusters))
        return path

    write.element, write.number = element, number
    return write


@pytest.fixture
def reseal():
    """Bytes that begin with an Ogg page, with its checksum made right (RFC 3533)."""

    def sealed(data):
        data = bytearray(data)
        end = 27 + data[26] + sum(data[27 : 27 + data[26]])
        data[22:26] = bytes(4)
        crc = 0
        for byte in data[:end]:
            crc ^= byte << 24
            for _ in range(8):
                crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
        data[22:26] = struct.pack("<I", crc)
        return bytes(data)

    return sealed
