"""Lengths, rates and time stamps of headers are bounded by what decodes."""

import resource
from fractions import Fraction

import av
import numpy as np
import pytest

from avssl.embedding.duration_cache import media_duration
from avssl.media import probe, read_frames
from avssl.media.stream_timeline import plausible_rate
from avssl.media.streams import AudioReader
from avssl.media.video_reader import VideoReader

STEADY = tuple(range(0, 2000, 100))
"""Milliseconds: 2 s at 10 frames a second."""


def frames(count=20):
    return [np.full((48, 96, 3), 10 + 5 * (number % 48), np.uint8) for number in range(count)]


def refusal(path):
    with pytest.raises(ValueError, match="expected") as error:
        VideoReader(path).length()
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


def test_length_and_rate_come_from_the_packets(matroska, tmp_path):
    for duration in (None, 1.0, 2000.0, 1e18):
        video = VideoReader(matroska(tmp_path / "a.mkv", frames(), STEADY, duration=duration))
        assert video.length() == pytest.approx(2.0, abs=0.101)  # the last frame of Matroska may have no duration
        assert video.frame_rate == pytest.approx(10.0, abs=0.01)


@pytest.mark.parametrize(
    ("stamps", "found"),
    [
        ((*STEADY, 36_000_000), "time stamps at most 600 s apart, got 35998 s at 1.9 s"),
        ((*STEADY, 10**12), "time stamps at most 600 s apart, got 999999998 s at 1.9 s"),
        ((*STEADY, 2**62), "time stamps at most 600 s apart"),
        ((*STEADY[:10], *(9 * 10**6 + each for each in STEADY[:10])), "at most 600 s apart, got 8999 s at 0.9 s"),
        (range(0, 700_000_000, 590_000), "a stream of at most 604800 s, its time stamps reach 700330 s"),
        ((0,) * 40, "a time stamp per frame, got 1 for 40 frames"),
        ((*STEADY, *STEADY), "ascending time stamps, got a step back of 1.9 s at 1.9 s"),
    ],
)
def test_time_stamps_that_no_film_has_are_one_line(matroska, tmp_path, stamps, found):
    path = matroska(tmp_path / "a.mkv", frames(len(stamps)), stamps)
    assert found in refusal(path)


def test_long_stills_and_a_late_start_are_films(matroska, tmp_path):
    slides = VideoReader(matroska(tmp_path / "slides.mkv", frames(4), (0, 590_000, 1_100_000, 1_100_500)))
    assert slides.length() == pytest.approx(1100.5, abs=0.6)
    late = VideoReader(matroska(tmp_path / "late.mkv", frames(), [36_000_000 + each for each in STEADY]))
    assert late.length() == pytest.approx(2.0, abs=0.101)
    brightness = read_frames(tmp_path / "late.mkv", [0.0, 1.05]).float().mean((1, 2, 3)).numpy()
    assert brightness == pytest.approx([10, 60], abs=2)


@pytest.mark.parametrize(
    ("stated", "measured", "taken"),
    [
        (30.0, 30.0, 30.0),
        (29.97, 30.0, 29.97),
        (60.0, 20.0, 60.0),  # nominal rate of a variable one
        (0.001, 25.0, 25.0),
        (0.0, 25.0, 25.0),
        (-5.0, 25.0, 25.0),
        (float("nan"), 25.0, 25.0),
        (1e9, 25.0, 25.0),
        (1000.0, 999.0, 1000.0),
        (1e9, 0.0, 0.0),
        (25.0, 0.0, 25.0),
    ],
)
def test_rates_that_the_frames_contradict_are_measured(stated, measured, taken):
    assert plausible_rate(stated, measured) == taken


@pytest.mark.parametrize("interval", [1, 10**12])
def test_a_header_with_an_absurd_rate_gives_the_rate_of_its_frames(matroska, tmp_path, interval):
    rate = matroska.element(0x23E383, matroska.number(interval))  # DefaultDuration, ns
    video = VideoReader(matroska(tmp_path / "a.mkv", frames(), STEADY, track=rate))
    assert video.frame_rate == pytest.approx(10.0, abs=0.01)


def test_a_stream_without_time_stamps_is_one_line(tmp_path):
    path = tmp_path / "raw.h264"
    with av.open(str(path), "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 96, 3), np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert "frames with time stamps, got none" in refusal(path)


def test_frames_of_absurd_size_are_refused_before_they_are_decoded(matroska, tmp_path):
    element, number = matroska.element, matroska.number
    size = element(0xB0, number(16000)) + element(0xBA, number(5000)) + element(0x2EB524, b"I420")
    path = matroska(tmp_path / "a.mkv", frames(2), (0, 100), codec=b"V_UNCOMPRESSED", video=size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (VideoReader, lambda path: read_frames(path, [0.0])):
        with pytest.raises(ValueError, match="expected frames of at most 67108864 pixels, the header says 16000x5000"):
            read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


def test_a_size_of_the_container_that_the_frames_contradict_does_not_count(matroska, tmp_path):
    element, number = matroska.element, matroska.number
    size = element(0xB0, number(60000)) + element(0xBA, number(60000))
    video = VideoReader(matroska(tmp_path / "a.mkv", frames(2), (0, 100), video=size))
    assert (video.height, video.width) == (48, 96)


def test_times_past_every_time_stamp_are_past_the_end(matroska, tmp_path):
    path = matroska(tmp_path / "a.mkv", frames(), STEADY)
    assert read_frames(path, [1e300]).float().mean() == pytest.approx(105, abs=2)
    with pytest.raises(ValueError, match="expected finite instants"):
        read_frames(path, [float("nan")])


def test_streams_of_one_matroska_duration_have_their_own_lengths(matroska, tmp_path):
    blocks = range(0, 1200, 100)
    path = matroska(tmp_path / "a.mkv", frames(), STEADY, duration=2000.0, audio=blocks)
    assert [each.seconds for each in (probe(path).video, probe(path).audio)] == [2.0, 2.0]
    assert not probe(path).audio.stated
    assert AudioReader(path).length() == pytest.approx(1.2, abs=0.01)
    assert media_duration(path, "audio") == pytest.approx(1.2, abs=0.01)
    assert media_duration(path, "video") == pytest.approx(2.0, abs=0.101)


def test_tags_of_a_stream_count_before_the_duration_of_the_file(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 96, 48, "yuv420p"
        audio = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        frame.sample_rate, frame.pts = 8000, 0
        packets = [*audio.encode(frame), *audio.encode(None)]
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 96, 3), np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            packets += video.encode(frame)
        for packet in sorted([*packets, *video.encode(None)], key=lambda each: each.dts * each.time_base):
            out.mux(packet)
    found = probe(path)
    assert (found.audio.seconds, found.audio.stated) == (pytest.approx(1.0, abs=0.002), True)
    assert found.video.seconds == pytest.approx(3.0, abs=0.002)


def test_a_file_that_breaks_off_is_not_whole(matroska, tmp_path):
    path = matroska(tmp_path / "a.mkv", frames(), STEADY, duration=2000.0)
    assert media_duration(path, "video", whole=True) == media_duration(path, "video")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert media_duration(path, "video") < 1.1
    with pytest.raises(ValueError, match=r"expected 2\.0 s, the file breaks off after"):
        media_duration(path, "video", whole=True)
