"""Every frame by itself, in files that are closed and opened again, against decoding from the beginning."""

from fractions import Fraction

import av
import numpy as np
import pytest

from avssl.media import close_all, read_frames
from avssl.media.video_decode import EXACT

STAMPS = [3 + 4 * number for number in range(40)]
"""Of the frames, in 1/100 s."""


def encoded(path, frames, codec, options):
    """Encode frames at `STAMPS`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=100, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 100)
        for frame, stamp in zip(frames, STAMPS, strict=False):
            image = av.VideoFrame.from_ndarray(frame, format="rgb24")
            image.pts, image.time_base = stamp, Fraction(1, 100)
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return path


def decoded(path):
    """Seconds and frames, in one pass."""
    with av.open(str(path)) as container:
        source = container.streams.video[0]
        source.codec_context.thread_count = 1
        zero = max(0, container.start_time) / av.time_base
        frames = list(container.decode(source))
        times = [float(frame.pts * source.time_base) - zero for frame in frames]
    return times, [frame.reformat(96, 48, "rgb24", interpolation=EXACT, threads=1).to_ndarray() for frame in frames]


@pytest.mark.parametrize(
    ("codec", "options", "suffix"),
    [
        ("libx264", {"bf": "3", "g": "12", "b-pyramid": "normal", "sc_threshold": "0"}, ".mp4"),
        ("libx264", {"bf": "3", "g": "12", "x264-params": "open-gop=1", "sc_threshold": "0"}, ".mkv"),
        ("libvpx-vp9", {"g": "12", "deadline": "realtime", "cpu-used": "8"}, ".webm"),
        ("libvpx-vp9", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "8", "cpu-used": "8"}, ".mkv"),
    ],
)
def test_every_frame_is_that_of_decoding_from_the_beginning(tmp_path, codec, options, suffix):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (48, 96, 3), np.uint8)
    frames = [np.roll(noise, (number, 2 * number), (0, 1)) for number in range(40)]
    times, images = decoded(encoded(tmp_path / f"a{suffix}", frames, codec, options))
    assert len(images) == 40
    for number in rng.permutation(40):
        close_all()
        found = read_frames(tmp_path / f"a{suffix}", times[number : number + 3 : 2])
        for each, image in zip(found, images[number : number + 3 : 2], strict=True):
            assert np.array_equal(each.permute(1, 2, 0).numpy(), image), number


def test_a_file_opened_again_is_not_decoded_for_it(tmp_path, monkeypatch):
    """FFmpeg decodes the beginning of a file when it is opened; of VP9 in Matroska once in a process."""
    frames = [np.full((48, 96, 3), 10 + 5 * number, np.uint8) for number in range(4)]
    path, options, open_file = encoded(tmp_path / "a.webm", frames, "libvpx-vp9", {}), [], av.open

    def watched(*args, **more):
        options.append(more["container_options"])
        return open_file(*args, **more)

    with monkeypatch.context() as watching:
        watching.setattr(av, "open", watched)
        for _ in range(3):
            read_frames(path, [0.05])
            close_all()
    encoded(path, frames[::-1], "libvpx-vp9", {})
    monkeypatch.setattr(av, "open", watched)
    assert abs(float(read_frames(path, [0.0]).float().mean()) - 25) < 2  # a file written anew is probed anew
    assert ["probesize" in each for each in options] == [False, True, True, False]
