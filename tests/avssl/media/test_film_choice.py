"""The film among the tracks of a file: not its cover, and not in silence where another cannot be decoded."""

import logging

import av
import numpy as np
import pytest

from avssl.media import iterate_frames, read_frames
from avssl.media.streams import AudioReader
from avssl.media.video_reader import VideoReader

FRAMES = [np.full((40, 80, 3), 60 + 10 * number, np.uint8) for number in range(8)]
STAMPS = range(0, 800, 100)


def write(path, *streams):
    """Streams of `(codec, width, height, frames, brightness)`, in this order."""
    with av.open(str(path), "w") as out:
        made = []
        for codec, width, height, *_ in streams:
            stream = out.add_stream(codec, rate=10)
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            made.append(stream)
        for stream, (_, width, height, count, brightness) in zip(made, streams, strict=True):
            packets = []
            for _ in range(count):
                frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), brightness, np.uint8), "rgb24")
                packets += stream.encode(frame)
            for packet in [*packets, *stream.encode(None)]:
                out.mux(packet)
    return path


def other_track(matroska, codec, width=640):
    """A further video track without any frame."""
    element, number = matroska.element, matroska.number
    size = element(0xE0, element(0xB0, number(width)), element(0xBA, number(width)))
    return element(0xAE, element(0xD7, number(7)), element(0x73C5, number(7)), element(0x83, number(1)),
                   element(0x86, codec), size)  # fmt: skip


@pytest.mark.parametrize("cover_first", [True, False])
def test_a_cover_that_a_muxer_stored_as_a_track_is_not_the_film(tmp_path, cover_first):
    film, cover = ("libx264", 80, 40, 8, 200), ("mjpeg", 320, 320, 1, 50)
    path = write(tmp_path / "a.mkv", *((cover, film) if cover_first else (film, cover)))
    video = VideoReader(path)
    assert (video.width, video.height, video.stream) == (80, 40, int(cover_first))
    assert video.length() == pytest.approx(0.8, abs=0.1)
    for image in (read_frames(path, [0.3])[0].permute(1, 2, 0).numpy(), next(iterate_frames(path, [0.3]))):
        assert image.shape == (40, 80, 3)
        assert image.mean() == pytest.approx(200, abs=3)


def test_a_film_in_a_codec_of_pictures_is_a_film_and_the_larger_of_two_is_taken(tmp_path, matroska):
    assert VideoReader(matroska(tmp_path / "a.mkv", FRAMES, STAMPS)).width == 80
    path = write(tmp_path / "b.mkv", ("libx264", 80, 40, 8, 200), ("libx264", 160, 80, 8, 100))
    assert (VideoReader(path).stream, tuple(read_frames(path, [0.0]).shape)) == (1, (1, 3, 80, 160))
    assert tuple(read_frames(path, [0.0], stream=0).shape) == (1, 3, 40, 80)


def test_a_track_without_a_decoder_that_is_passed_over_is_named(tmp_path, matroska, caplog):
    path = matroska(tmp_path / "a.mkv", FRAMES, STAMPS, tracks=other_track(matroska, b"V_FUTURE/1"))
    with caplog.at_level(logging.WARNING, "avssl"):
        video = VideoReader(path)
    assert (video.width, video.height) == (80, 40)
    assert caplog.messages == [
        f"{path}: video stream 1 cannot be decoded (no decoder for it) and is passed over; stream 0 (mjpeg) is read"
    ]


def test_a_file_whose_only_tracks_have_no_decoder_says_so(tmp_path, matroska):
    path = matroska(tmp_path / "a.mkv", FRAMES, STAMPS, codec=b"V_FUTURE/1")
    for read in (VideoReader, lambda path: read_frames(path, [0.0])):
        with pytest.raises(ValueError, match=r"a\.mkv: expected a video, FFmpeg has no decoder for its 1 video stream"):
            read(path)
    with pytest.raises(ValueError, match="expected sound, it has no sound stream"):
        AudioReader(path)
