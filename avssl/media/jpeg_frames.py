"""Frames as JPEG images in an mp4 (Motion JPEG): each is read and decoded by itself, by its place in the file.

Every reader of FFmpeg plays the file. `read_frames` takes the images straight from it instead: one ranged read and one
JPEG a frame, nothing before it is decoded. A frame carries the checksum of its image.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import IO
from zlib import crc32

import av
import cv2
import numpy as np
import torch
from av.packet import Packet
from av.video.stream import VideoStream
from torch import Tensor

from avssl.errors import InputError
from avssl.io.atomic import replacing
from avssl.io.worker_note import beat
from avssl.media.container_cache import open_stream, reading
from avssl.media.write_errors import writing
from avssl.regular_files import check_regular, open_regular
from avssl.stores.virtual_paths import is_virtual

SUFFIX = ".jpeg.mp4"
"""End of the names of these files."""
QUALITY = 90
"""Of JPEG, 1 to 100; colours at half the resolution (4:2:0)."""
MARK = "avssl JPEG frames 1"
"""Comment in the file."""
HEAD = b"\xff\xd8\xff\xfe\x00\x06"
"""Begin of every image: the comment that follows is the CRC-32 of all after it."""
FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
FRAMES_OF_SIZE = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's markers of the segment that states the size."""
INDEXED = 1024
"""Files whose places of frames are kept in memory, 20 bytes a frame."""


def write_jpeg_frames(path: Path | str, frames: Iterable[np.ndarray], rate: float, *, quality: int = QUALITY) -> None:
    """Write RGB frames as JPEG images to an mp4, with the time stamps that `write_video` gives them.

    Args:
        path: the file to write; `read_frames` is fast where its name ends in `SUFFIX`.
        frames: uint8 RGB `(height, width, 3)` each.
        rate: frames per second.
        quality: of JPEG, 1 to 100.

    Raises:
        InputError: no frame, or one that is not uint8 `(height, width, 3)` of the first one's size.
        OSError: the file cannot be written.
    """
    target, count = Path(path), 0
    step = 1 / Fraction(rate).limit_denominator(1001)
    options = {"movflags": "+faststart"}
    with (
        replacing(target) as part,
        writing(target),
        av.open(f"file:{part}", "w", format="mp4", options=options) as file,
    ):
        file.metadata["comment"] = MARK
        stream = None
        for frame in frames:
            stream = stream or _stream(file, target, frame, 1 / step)
            if frame.shape != (stream.height, stream.width, 3) or frame.dtype != np.uint8:
                expected = f"frames are uint8 {(stream.height, stream.width, 3)}"
                raise InputError(f"{target}: {expected}, this is {frame.dtype} {frame.shape}")
            packet = Packet(encode_jpeg(frame, quality))
            packet.stream, packet.time_base, packet.is_keyframe = stream, step, True
            packet.pts = packet.dts = count
            packet.duration = 1
            file.mux(packet)
            count += 1
            beat()
        if not count:
            raise InputError(f"{target}: a video has at least one frame, this has none")


def encode_jpeg(frame: np.ndarray, quality: int = QUALITY) -> bytes:
    """JPEG image of an RGB frame `(height, width, 3)`, with its checksum."""
    done, image = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    rest = image.tobytes()[2:]
    return HEAD + struct.pack(">I", crc32(rest)) + rest


def decode_jpeg(image: bytes, out: np.ndarray) -> None:
    """Decode an image of `encode_jpeg` into an RGB frame `(height, width, 3)`.

    Raises:
        ValueError: it is broken, or of another size.
    """
    if image[: len(HEAD)] != HEAD or struct.pack(">I", crc32(image[len(HEAD) + 4 :])) != image[len(HEAD) :][:4]:
        raise ValueError("expected a whole JPEG image, its checksum differs")
    if (size := _size(image)) != out.shape[:2]:  # before decoding: an image may claim any size
        raise ValueError(f"expected a JPEG image of {out.shape[:2]}, got {size}")
    if (found := cv2.imdecode(np.frombuffer(image, np.uint8), FLAGS)) is None:
        raise ValueError("expected a JPEG image, it cannot be decoded")
    out[:] = found


@dataclass(frozen=True)
class JpegFrames:
    """Places of the images of a file; named as `container_cache.Opened` where that has the same."""

    path: Path
    height: int
    width: int
    tick: Fraction
    origin: int
    first: int
    stamps: np.ndarray
    """Time stamps of the frames, ascending, int64."""
    places: np.ndarray
    """First byte of each image, int64."""
    sizes: np.ndarray
    """Bytes of each image, int32."""

    def images(self, stamps: Sequence[int]) -> Tensor:
        """The frame at or before each time stamp: uint8 RGB `(len(stamps), 3, height, width)`, colour innermost.

        Raises:
            InputError: an image is broken.
            OSError: the file cannot be read.
        """
        indices = np.maximum(self.stamps.searchsorted(stamps, "right") - 1, 0).tolist()
        images = np.empty((len(indices), self.height, self.width, 3), np.uint8)
        virtual = is_virtual(self.path)
        with open_regular(self.path, "a video") if virtual else self.path.open("rb", buffering=0) as file:
            for place, index in enumerate(indices):
                if place and index == indices[place - 1]:
                    images[place] = images[place - 1]
                else:
                    self._decode(file, index, images[place])
        return torch.from_numpy(images).permute(0, 3, 1, 2)

    def _decode(self, file: IO[bytes], index: int, out: np.ndarray) -> None:
        try:
            file.seek(int(self.places[index]))
            decode_jpeg(file.read(int(self.sizes[index])), out)
        except ValueError as error:
            raise InputError(f"{self.path}: frame {index}: {error}; prepare it again") from error


def jpeg_frames(path: Path) -> JpegFrames | None:
    """Places of the images of a file that `write_jpeg_frames` wrote; None for any other video.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it cannot be read.
    """
    if not path.name.endswith(SUFFIX):
        return None
    status = check_regular(path, "a video")
    return _indexed(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=INDEXED)
def _indexed(path: Path, size: int, changed: int) -> JpegFrames | None:
    with reading(path), open_stream(path, VideoStream, None) as opened:
        if opened.container.metadata.get("comment") != MARK or opened.stream.codec_context.name != "mjpeg":
            return None
        packets = [(each.pts, each.pos, each.size) for each in opened.packets() if each.pts is not None and each.size]
        found = np.array(packets, np.int64).reshape(-1, 3)
        context = opened.stream.codec_context
        if not len(found) or (found[:, 1] < 0).any() or (np.diff(found[:, 0]) <= 0).any():
            raise InputError(f"{path}: expected JPEG images in the order of their times, got {len(found)} of others")
        stamps, places, sizes = found.T.copy()
        clock = opened.tick, opened.origin, opened.first
        return JpegFrames(path, context.height, context.width, *clock, stamps, places, sizes.astype(np.int32))


def _stream(file: av.container.OutputContainer, target: Path, frame: np.ndarray, rate: Fraction) -> VideoStream:
    if frame.ndim != 3 or frame.shape[2] != 3:
        raise InputError(f"{target}: frames are uint8 (height, width, 3), this is {frame.dtype} {frame.shape}")
    stream = file.add_stream("mjpeg", rate=rate)
    stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], "yuvj420p"
    return stream


def _size(image: bytes) -> tuple[int, int] | None:
    """Height and width that an image states; None where it states none."""
    place = 2
    with suppress(struct.error):
        while True:
            marker, length = struct.unpack_from(">HH", image, place)
            if marker & 0xFF in FRAMES_OF_SIZE:
                found: tuple[int, int] = struct.unpack_from(">HH", image, place + 5)
                return found
            place += 2 + max(2, length)
    return None
