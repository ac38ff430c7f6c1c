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
import cv2
import numpy as np
import soundfile
import torch
from torch import Tensor

from avssl.bench.case import Case, Result, Row, Size, brightness, largest
from avssl.bench.peers import with_library
from avssl.media import close_all, iterate_frames, read_audio, read_frames, write_audio, write_video
from avssl.media.jpeg_frames import SUFFIX, write_jpeg_frames
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


def frame_cases(size: Size, folder: Path) -> list[Row]:
    """Frames of a clip, at the size of the proxy."""
    source, proxy, images = folder / "source.mp4", folder / "proxy.mp4", folder / f"proxy{SUFFIX}"
    shape = (size.height, 2 * size.height)
    write_source(source, size)
    times = write_proxy(source, proxy, size)
    write_images(source, images, size)
    loop, seeking = (_stacked(partial(plain_frames, source, times, shape, seek=seek)) for seek in (False, True))
    sides = {
        "frames-proxy": (_stacked(partial(read_reopened, proxy, times, None)), 30.0),
        "frames-source": (_stacked(partial(read_reopened, source, times, shape)), 1.6),
        "frames-jpeg": (_stacked(partial(read_reopened, images, times, None)), 80.0),
    }
    work = f"{len(times)} frames of {shape[1]} x {shape[0]}; source {2 * size.source_height} x {size.source_height}"
    case = partial(Case, tolerance=TOLERANCE, distance=brightness, work=work)
    rows: list[Row] = []
    for name, (ours, aim) in sides.items():
        rows.append(case(name, f"PyAV loop over the source, 0-{times[-1]:.1f} s", ours, loop))
        rows.append(case(name, "PyAV in the source, from the key frame", ours, seeking, aim=aim))
    codec = _stacked(partial(torchcodec_frames, source, times, shape))
    peer_name = "torchcodec VideoDecoder, approximate seek"
    ours = sides["frames-source"][0]
    found = with_library(
        "frames-source", "torchcodec.decoders", peer_name, lambda _: [case("frames-source", peer_name, ours, codec)]
    )
    return [*rows, *found]


def write_proxy(source: Path, proxy: Path, size: Size) -> list[float]:
    """Write the proxy of a source video; returns the times of the frames of a clip."""
    steps = np.arange(math.floor(size.video_seconds * RATE)) / RATE
    write_video(proxy, iterate_frames(source, steps.tolist(), (size.height, 2 * size.height)), RATE, gop=8)
    first = min(math.floor(BEGIN * len(steps)), len(steps) - size.frames)
    return [float(each) for each in steps[first : first + size.frames]]


def write_images(source: Path, images: Path, size: Size) -> None:
    """Write the proxy of a source video as JPEG images."""
    steps = np.arange(math.floor(size.video_seconds * RATE)) / RATE
    write_jpeg_frames(images, iterate_frames(source, steps.tolist(), (size.height, 2 * size.height)), RATE)


def torchcodec_frames(path: Path, times: Sequence[float], shape: tuple[int, int]) -> Tensor:
    """Frames by torchcodec, scaled by OpenCV."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), seek_mode="approximate", num_ffmpeg_threads=torch.get_num_threads())
    frames = decoder.get_frames_played_at(seconds=list(times)).data.permute(0, 2, 3, 1).numpy()
    scaled = [cv2.resize(frame, shape[::-1], interpolation=cv2.INTER_AREA) for frame in frames]
    return torch.from_numpy(np.stack(scaled)).permute(0, 3, 1, 2)


def audio_cases(size: Size, folder: Path) -> list[Row]:
    """One second of four channels: of an AAC file as it is downloaded, of the WAV that is prepared from it, of FLAC."""
    paths, start = {kind: folder / f"audio.{kind}" for kind in ("m4a", "wav", "flac")}, BEGIN * size.audio_seconds
    write_aac(paths["m4a"], 0.1 * torch.randn(4, _samples(size), generator=torch.Generator().manual_seed(0)))
    audio = read_audio(paths["m4a"], 0.0, size.audio_seconds)[0]
    for kind in ("wav", "flac"):
        write_audio(paths[kind], audio, SAMPLE_RATE)

    def ours(path: Path) -> Callable[[], Result]:
        return lambda: (read_audio(path, start, 1.0)[0],)

    aac = _stacked(partial(plain_audio, paths["m4a"], start))
    case = partial(Case, tolerance=1e-3, distance=largest, work=f"1 s of 4 channels of {size.audio_seconds:g} s")
    rows: list[Row] = [
        case("audio-wav", "PyAV in the m4a, from a packet before", ours(paths["wav"]), aac, aim=10.0),
        case("audio-m4a", "PyAV in the m4a, from a packet before", ours(paths["m4a"]), aac),
        case("audio-flac", "PyAV in the m4a, from a packet before", ours(paths["flac"]), aac),
    ]
    for kind in ("wav", "flac"):
        whole, part = (_stacked(partial(read, paths[kind], start)) for read in (_whole_file, _from_seek))
        rows.append(case(f"audio-{kind}", f"soundfile, all {size.audio_seconds:g} s", ours(paths[kind]), whole))
        rows.append(case(f"audio-{kind}", "soundfile, from the second on", ours(paths[kind]), part))
    return rows


def _samples(size: Size) -> int:
    return round(size.audio_seconds * SAMPLE_RATE)


def write_aac(path: Path, audio: Tensor) -> None:
    """Write four channels as AAC, as ambisonics is downloaded."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="4.0", bit_rate=256000)
        frame = av.AudioFrame.from_ndarray(audio.numpy(), format="fltp", layout="4.0")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def plain_audio(path: Path, start: float) -> Tensor:
    """One second by PyAV, float32 `(channels, samples)`: seek, decode from a packet before, cut."""
    parts: list[np.ndarray] = []
    first = 0
    with av.open(str(path)) as container:
        container.seek(int((start - 0.1) * av.time_base))
        for frame in container.decode(audio=0):
            if not parts:
                assert frame.time is not None
                first, rate = round(frame.time * frame.sample_rate), frame.sample_rate
            parts.append(frame.to_ndarray())
            if first + sum(part.shape[1] for part in parts) >= round((start + 1) * rate):
                break
    skipped = round(start * rate) - first
    return torch.from_numpy(np.concatenate(parts, 1)[:, skipped : skipped + rate].copy())


def _whole_file(path: Path, start: float) -> Tensor:
    whole, rate = soundfile.read(path, dtype="float32", always_2d=True)
    first = round(start * rate)
    return torch.from_numpy(whole[first : first + rate].T.copy())


def _from_seek(path: Path, start: float) -> Tensor:
    with soundfile.SoundFile(path) as file:
        file.seek(round(start * file.samplerate))
        return torch.from_numpy(file.read(file.samplerate, dtype="float32", always_2d=True).T.copy())


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


def read_reopened(path: Path, times: Sequence[float], shape: tuple[int, int] | None) -> Tensor:
    """Frames by avssl, the file opened anew."""
    close_all()
    return read_frames(path, times, shape)


def _stacked(read: Callable[[], Tensor]) -> Callable[[], Result]:
    return lambda: (read(),)
