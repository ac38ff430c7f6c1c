"""Frames come as players show them: turned, mirrored, with square pixels, from every reader."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from avssl.data.clip_options import Reading
from avssl.data.window_reader import read_window_frames
from avssl.media import iterate_frames, read_frames
from avssl.media.frame_orientation import Orientation, matrix_orientation
from avssl.media.video_reader import VideoReader

CORNERS = {(0, 0): "top left", (0, 1): "top right", (1, 0): "bottom left", (1, 1): "bottom right"}
MATRICES = [
    ((1, 0, 0, 1), "top left", False),
    ((0, 1, -1, 0), "top right", True),
    ((-1, 0, 0, -1), "bottom right", False),
    ((0, -1, 1, 0), "bottom left", True),
    ((-1, 0, 0, 1), "top right", False),
    ((1, 0, 0, -1), "bottom left", False),
    ((0, 1, 1, 0), "top left", True),
    ((0, -1, -1, 0), "bottom right", True),
]
"""Display matrix a, b, c, d; the corner to which it brings the coded top left; whether it swaps the sides."""


def film(path, size=(96, 48), aspect=Fraction(1), count=8, images=None):
    """White at the top left of each coded picture; 16 frames per second."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=16, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for number in range(count):
            picture = np.full((size[1], size[0], 3), 30, np.uint8)
            picture[: size[1] // 3, : size[0] // 6] = 255
            frame = av.VideoFrame.from_ndarray(picture if images is None else images[number], "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 16)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def turn(path, matrix, size=(96, 48)):
    """Write a display matrix to the first track, with the offset that brings the picture back to the origin."""
    data = bytearray(path.read_bytes())
    a, b, c, d = matrix
    x, y = (-sum(min(0, by * side) for by, side in zip(pair, size, strict=True)) for pair in ((a, c), (b, d)))
    at = data.find(b"tkhd") + 44
    struct.pack_into(">9i", data, at, a << 16, b << 16, 0, c << 16, d << 16, 0, x << 16, y << 16, 1 << 30)
    path.write_bytes(bytes(data))
    return path


def white_corner(image):
    """Corner of the white area of an image `(height, width, 3)`."""
    rows, columns = np.nonzero(image[..., 0] > 128)
    height, width = image.shape[:2]
    return CORNERS[int(rows.mean() > height / 2), int(columns.mean() > width / 2)]


def channels_last(frames):
    return frames[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(("matrix", "corner", "swaps"), MATRICES)
def test_every_reader_turns_and_mirrors_as_the_header_says(tmp_path, matrix, corner, swaps):
    path = turn(film(tmp_path / "a.mp4"), matrix)
    shape = (96, 48) if swaps else (48, 96)
    video = VideoReader(path)
    whole = Reading(seconds=0.25, frames=1, resize=0, size=0)
    found = [
        channels_last(read_frames(path, [0.1])),
        next(iterate_frames(path, [0.1])),
        next(video.frames([0.1], shape)),
        channels_last(read_window_frames(path, 0.0, whole)),
    ]
    assert video.size == (video.height, video.width) == shape
    assert [image.shape for image in found] == [(*shape, 3)] * 4
    assert [white_corner(image) for image in found] == [corner] * 4
    assert white_corner(channels_last(read_frames(path, [0.1], size=(30, 80)))) == corner


def test_a_matrix_of_any_scale_gives_the_nearest_quarter_turn():
    for matrix, _, swaps in MATRICES:
        scaled = matrix_orientation(*(3000 * each + 5 for each in matrix))
        assert scaled == matrix_orientation(*matrix)
        assert scaled.swaps_sides == swaps
    assert matrix_orientation(0, 0, 0, 0) == matrix_orientation(2, 4, 1, 2) == Orientation()


def test_a_rotation_in_the_bit_stream_of_matroska_counts_too(tmp_path):
    path = tmp_path / "a.mkv"
    film(tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(-90)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    assert white_corner(channels_last(read_frames(path, [0.1]))) == "top right"


@pytest.mark.parametrize(("aspect", "width"), [(Fraction(2), 160), (Fraction(1, 2), 40), (Fraction(4, 3), 107)])
def test_pixels_that_are_not_square_are_stretched(tmp_path, aspect, width):
    y, x = np.mgrid[:80, :80]
    circle = ((float(aspect) * (x - 39.5)) ** 2 + (y - 39.5) ** 2 < 18**2)[..., None] * np.full(3, 255, np.uint8)
    path = film(tmp_path / "a.mp4", (80, 80), aspect, images=[circle] * 8)
    reading = Reading(seconds=0.25, frames=1, resize=0, size=0)
    for image in (channels_last(read_frames(path, [0.0])), channels_last(read_window_frames(path, 0.0, reading))):
        assert image.shape[:2] == (80, width)
        rows, columns = np.nonzero(image[..., 0] > 128)
        assert np.ptp(columns) / np.ptp(rows) == pytest.approx(1, abs=0.06)


def test_turned_pixels_are_stretched_before_they_are_turned(tmp_path):
    path = turn(film(tmp_path / "a.mp4", aspect=Fraction(2)), (0, 1, -1, 0))
    video = VideoReader(path)
    assert (video.size, video.height, video.width, video.aspect) == ((192, 48), 96, 48, 0.25)
    assert channels_last(read_frames(path, [0.0])).shape == (192, 48, 3)


def test_an_absurd_pixel_aspect_ratio_is_one_line(tmp_path, matroska):
    element, number = matroska.element, matroska.number
    display = element(0x54B0, number(1)) + element(0x54BA, number(4000))
    path = matroska(tmp_path / "a.mkv", [np.zeros((48, 96, 3), np.uint8)] * 2, (0, 100), video=display)
    for read in (VideoReader, lambda path: read_frames(path, [0.0])):
        with pytest.raises(ValueError, match="aspect ratio 1 to 16 or 1/16, the header says 1/8000"):
            read(path)
