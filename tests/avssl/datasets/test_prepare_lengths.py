"""Streams that end at different times are whole; a file that was cut short is not."""

from fractions import Fraction

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from avssl.datasets.manifest import read_manifest
from avssl.datasets.prepare import prepare
from avssl.media.probe import check_length

RATE = 24000


def film(path, video_seconds, seconds, codec):
    """A sphere with a plane wave from the left: seconds of frames and of audio, interleaved in time."""
    noise = np.random.default_rng(0).normal(0, 0.1, RATE * seconds)
    field = (np.stack((noise, noise, 0 * noise, 0 * noise), 1) * 32767).astype(np.int16)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=16, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        audio = out.add_stream(codec, rate=RATE, layout="4.0")
        packets = []
        for begin in range(0, len(field), 2400):
            block = av.AudioFrame.from_ndarray(field[begin : begin + 2400].reshape(1, -1), "s16", "4.0")
            block.sample_rate, block.pts = RATE, begin
            packets += audio.encode(block)
        packets += audio.encode(None)
        for number in range(16 * video_seconds):
            frame = av.VideoFrame.from_ndarray(np.full((32, 64, 3), 40 + number % 200, np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 16)
            packets += video.encode(frame)
        for packet in sorted([*packets, *video.encode(None)], key=lambda each: each.dts * each.time_base):
            out.mux(packet)
    return path


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "pcm_s16le"), ("mp4", "aac")])
def test_what_both_streams_share_is_prepared_and_a_file_cut_short_is_not(tmp_path, suffix, codec):
    root = tmp_path / "in"
    root.mkdir()
    film(root / f"long_picture.{suffix}", 5, 3, codec)
    film(root / f"long_sound.{suffix}", 3, 5, codec)
    if suffix == "mkv":
        for kind in ("picture", "sound"):
            whole = (root / f"long_{kind}.mkv").read_bytes()
            (root / f"cut_{kind}.mkv").write_bytes(whole[: len(whole) // 4])
    prepare(root, tmp_path / "out", "files", workers=1, progress=False)
    rows = {row.key: row.seconds for row in read_manifest(tmp_path / "out")}
    assert rows == {name: pytest.approx(3, abs=0.05) for name in ("long_picture", "long_sound")}
    failed = {row["key"]: row["reason"] for row in pq.read_table(tmp_path / "out" / "failed.parquet").to_pylist()}
    assert set(failed) == ({"cut_picture", "cut_sound"} if suffix == "mkv" else set())
    assert all("the file breaks off after" in reason for reason in failed.values()), failed


def test_without_tags_another_stream_may_last_as_long_as_the_file(matroska, tmp_path):
    stamps = range(0, 6000, 100)
    frames = [np.zeros((16, 32, 3), np.uint8) for _ in stamps]
    path = matroska(tmp_path / "a.mkv", frames, stamps, duration=6000.0, audio=range(0, 2000, 100))
    check_length(path, 2.0, 6.0, stated=False)
    with pytest.raises(ValueError, match=r"expected 6\.0 s, the file breaks off after 2\.0 s"):
        check_length(path, 2.0, 6.0, stated=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"the file breaks off after 2\.0 s"):
        check_length(path, 2.0, 6.0, stated=False)
