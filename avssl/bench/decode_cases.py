"""Benchmarks of decoding a clip: frames of a proxy and of its source video, and an audio segment.

Both sides open the file for each run; files are in the page cache. The peer for frames is plain PyAV, whose conversion
to RGB is faster and less exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from torch import Tensor

from avssl.bench.case import Case, Result, Size, brightness, largest
from avssl.media import close_all, iterate_frames, read_audio, read_frames, write_audio, write_video
from avssl.synth.scene import Format, describe
from avssl.synth.video_render import render_frames

SOURCE_RATE, RATE = 30, 16
"""Hz; frame rates of the source and of the proxy; frames are read at the rate of the proxy."""
X264 = {"preset": "veryfast", "g": "50", "keyint_min": "50", "sc_threshold": "0"}
"""Encoder options of the source: B frames, and a key frame every 50 frames, as usual for web video."""
BEGIN = 0.75
"""Start of the clip, as a fraction of the file."""
TOLERANCE = 0.085
"""Tolerance: compression changes luma by 0.06 standard deviations, an offset of one frame by 0.13."""
SAMPLE_RATE = 24000


def frame_cases(size: Size, folder: Path) -> list[Case]:
    """Frames of a clip, at the size of the proxy."""
    source, proxy = folder / "source.mp4", folder / "proxy.mp4"
    shape = (size.height, 2 * size.height)
    write_source(source, size)
    steps = np.arange(math.floor(size.video_seconds * RATE)) / RATE
    write_video(proxy, iterate_frames(source, steps.tolist(), shape), RATE, gop=8)
    first = min(math.floor(BEGIN * len(steps)), len(steps) - size.frames)
    times = steps[first : first + size.frames].tolist()
    loop, seeking = (_stacked(partial(plain_frames, source, times, shape, seek=seek)) for seek in (False, True))
    of_proxy, of_source = (
        _stacked(partial(_read_reopened, proxy, times, None)),
        _stacked(partial(_read_reopened, source, times, shape)),
    )
    end = f"0-{times[-1]:.1f} s"
    return [
        Case("frames-proxy", f"PyAV loop over the source, {end}", of_proxy, loop, TOLERANCE, brightness),
        Case("frames-proxy", "PyAV in the source, from the key frame", of_proxy, seeking, TOLERANCE, brightness),
        Case("frames-source", f"PyAV loop over the source, {end}", of_source, loop, TOLERANCE, brightness),
        Case("frames-source", "PyAV in the source, from the key frame", of_source, seeking, TOLERANCE, brightness),
    ]


def audio_cases(size: Size, folder: Path) -> list[Case]:
    """One second of a four-channel wav."""
    path, start = folder / "audio.wav", BEGIN * size.audio_seconds
    samples = round(size.audio_seconds * SAMPLE_RATE)
    audio = 0.1 * torch.randn(4, samples, generator=torch.Generator().manual_seed(0))
    write_audio(path, audio, SAMPLE_RATE)
    first = round(start * SAMPLE_RATE)

    def ours() -> Result:
        return (read_audio(path, start, 1.0)[0],)

    def peer() -> Result:
        whole, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return (torch.from_numpy(whole[first : first + rate].T.copy()),)

    return [Case("audio", f"soundfile, all {size.audio_seconds:g} s", ours, peer, 1e-6, largest)]


def write_source(path: Path, size: Size) -> None:
    """Render one scene of synth360 as a video with the encoder options of web video."""
    form = Format(size.video_seconds, 2 * size.source_height, SOURCE_RATE)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=SOURCE_RATE, options=X264)
        stream.width, stream.height, stream.pix_fmt = form.width, size.source_height, "yuv420p"
        for image in render_frames(describe(0, 0), form):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def plain_frames(path: Path, times: Sequence[float], shape: tuple[int, int], seek: bool) -> Tensor:
    """Frames by a loop over PyAV's decoder, with torch's number of threads; only the requested ones are scaled.

    Args:
        path: video file.
        times: seconds, ascending.
        shape: height and width to scale to.
        seek: start at the key frame before the first time, not at the beginning.

    Returns:
        uint8 RGB `(time, 3, height, width)`.
    """
    frames: list[np.ndarray] = []
    previous: av.VideoFrame | None = None
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = torch.get_num_threads()
        if seek:
            container.seek(int(times[0] * av.time_base))
        for frame in container.decode(video=0):
            while previous is not None and len(frames) < len(times) and frame.time > times[len(frames)] + 1e-6:
                frames.append(_scaled(previous, shape))
            if len(frames) == len(times):
                break
            previous = frame
        while previous is not None and len(frames) < len(times):
            frames.append(_scaled(previous, shape))
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


def _scaled(frame: av.VideoFrame, shape: tuple[int, int]) -> np.ndarray:
    return frame.reformat(shape[1], shape[0], "rgb24", threads=torch.get_num_threads()).to_ndarray()


def _read_reopened(path: Path, times: Sequence[float], shape: tuple[int, int] | None) -> Tensor:
    close_all()
    return read_frames(path, times, shape)


def _stacked(read: Callable[[], Tensor]) -> Callable[[], Result]:
    return lambda: (read(),)
