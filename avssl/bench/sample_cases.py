"""Benchmark of a whole sample of AVSA on one core: from the file to crops, normalised frames and log-mel maps.

The plain side is the published procedure: frames by PyAV, each scaled and cropped alone, audio by PyAV, rotated for
every crop, log-mel maps by torchaudio a channel. Both sides draw the same crops, without jitter of colours and levels,
which take random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avssl.bench.ambisonic_cases import ByChannel
from avssl.bench.case import Case, Result, Size
from avssl.bench.crop_cases import gathered_crops
from avssl.bench.decode_cases import (
    RATE,
    SAMPLE_RATE,
    plain_audio,
    plain_frames,
    write_aac,
    write_images,
    write_proxy,
    write_source,
)
from avssl.bench.timing import threads
from avssl.config import FeatureConfig, ModelConfig
from avssl.data.clip_options import CropOptions
from avssl.data.crops import Crops, draw_crops
from avssl.media import close_all, iterate_frames, read_audio, read_frames, write_audio, write_video
from avssl.media.jpeg_frames import SUFFIX
from avssl.models.encoders import PIXEL_MEAN, PIXEL_STD, VideoEncoder
from avssl.spatial.ambisonics import rotate
from avssl.spatial.features import Features

START = 0.5
"""Seconds at which the audio of the sample begins."""
FOV = 70.0
"""Degrees; square crops, which the published form has too."""


@dataclass(frozen=True)
class Files:
    """One recording in the forms that are read."""

    source: Path
    """As it is downloaded."""
    small: Path
    """Scaled to the size of the proxy, with a key frame every 250 frames, as FFmpeg does unless it is asked."""
    proxy: Path
    jpeg: Path
    """The proxy with each frame as a JPEG image."""
    m4a: Path
    wav: Path


def cases(size: Size, folder: Path) -> list[Case]:
    """One second of a clip: crops of its frames, and the log-mel maps and intensity of the audio towards each."""
    files, times = _write(size, folder)
    options = CropOptions(size.views, size.side, FOV, FOV, aspect=1)
    crops = draw_crops(options, np.random.default_rng(0))
    sample = Sample(times, (size.height, 2 * size.height), crops, size.side)
    features, encoder, peer = Features(FeatureConfig("foa-iv")), VideoEncoder(ModelConfig("small")), Plain(sample)

    def ours(video: Path, device: bool) -> Callable[[], Result]:
        return _on_one_thread(partial(_ours, sample, features, encoder, video, files.wav, device))

    def plain(video: Path) -> Callable[[], Result]:
        return _on_one_thread(partial(peer, video, files.m4a))

    def worker(video: Path) -> Callable[[], Result]:
        side = ours(video, False)
        return lambda: side()[:1]

    def unscaled() -> Result:
        return (_unnormalized(plain(files.source)()[0]),)

    work = f"{size.views} crops of {size.side} x {size.side}, {size.frames} frames, features towards each"
    case = partial(Case, tolerance=TOLERANCE, distance=correlation_distance)
    peers = {name: f"as published, from {name}" for name in ("the source", "a small video")}
    proxy, source, jpeg = ours(files.proxy, True), plain(files.source), ours(files.jpeg, True)
    less = f"{work}; ours leaves normalising and features to the device"
    return [
        case("sample-proxy", peers["the source"], proxy, source, work=work, aim=15.0),
        case("sample-proxy", peers["a small video"], proxy, plain(files.small), work=work, aim=7.0),
        case("sample-source", peers["the source"], ours(files.source, True), source, work=work),
        case("sample-jpeg", peers["the source"], jpeg, source, work=work),
        case("sample-worker", peers["the source"], worker(files.proxy), unscaled, work=less, aim=40.0),
        case("sample-worker-jpeg", peers["the source"], worker(files.jpeg), unscaled, work=less, aim=40.0),
    ]


TOLERANCE = 0.05
"""One minus the correlation of both sides: compression of the proxy, and crops of frames scaled by another filter."""


def correlation_distance(mine: Tensor, other: Tensor) -> float:
    """One minus the correlation coefficient of all values."""
    return 1 - float(torch.corrcoef(torch.stack([mine.flatten(), other.flatten()]))[0, 1])


@dataclass(frozen=True)
class Sample:
    """Which frames, and which crops of them."""

    times: list[float]
    shape: tuple[int, int]
    """Rows and columns of the frames that are cropped."""
    crops: Crops
    side: int


def _ours(sample: Sample, features: Features, encoder: VideoEncoder, video: Path, audio: Path, device: bool) -> Result:
    """Crops, and features towards each; without `device` what a loader process gives: uint8 crops, and the waveform."""
    close_all()
    crops = sample.crops.frames(read_frames(video, sample.times, sample.shape), sample.side)
    waveform, _ = read_audio(audio, START, 1.0)
    if not device:
        return crops, waveform
    maps = features(waveform, sample.crops.to_front())
    levels, intensity = maps.split([4, 3], -3)
    return encoder.normalize(crops), levels, intensity


class Plain:
    """The published procedure."""

    def __init__(self, sample: Sample) -> None:
        self.sample, self.by_channel = sample, ByChannel(FeatureConfig("foa-iv"))
        self.mean, self.std = (torch.tensor(each)[:, None, None, None] for each in (PIXEL_MEAN, PIXEL_STD))

    def __call__(self, video: Path, audio: Path) -> Result:
        """Crops `(K, 3, T, side, side)`, levels and intensity `(K, maps, time, mels)`."""
        sample = self.sample
        frames = plain_frames(video, sample.times, sample.shape, seek=True)
        crops = gathered_crops(frames, sample.crops.directions(), float(sample.crops.fields[0]), sample.side)
        images = torch.stack([(crop.movedim(1, 0) / 255 - self.mean) / self.std for crop in crops])
        waveform = plain_audio(audio, START)
        fields = [rotate(waveform, matrix) for matrix in sample.crops.to_front()]
        levels, intensity = zip(*map(self.by_channel, fields), strict=True)
        return images, torch.stack(levels), torch.stack(intensity)


def _unnormalized(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(each)[:, None, None, None] for each in (PIXEL_MEAN, PIXEL_STD))
    return (255 * (images * std + mean)).movedim(1, 2)


def _on_one_thread(side: Callable[[], Result]) -> Callable[[], Result]:
    """As in a loader process."""

    def run() -> Result:
        with threads(1):
            return side()

    return run


def _write(size: Size, folder: Path) -> tuple[Files, list[float]]:
    names = ("source.mp4", "small.mp4", "proxy.mp4", f"proxy{SUFFIX}", "audio.m4a", "audio.wav")
    files = Files(*(folder / name for name in names))
    write_source(files.source, size)
    times = write_proxy(files.source, files.proxy, size)
    write_images(files.source, files.jpeg, size)
    steps = np.arange(int(size.video_seconds * RATE)) / RATE
    write_video(
        files.small, iterate_frames(files.source, steps.tolist(), (size.height, 2 * size.height)), RATE, gop=250
    )
    write_aac(files.m4a, 0.1 * torch.randn(4, 3 * SAMPLE_RATE, generator=torch.Generator().manual_seed(0)))
    write_audio(files.wav, read_audio(files.m4a, 0.0, 3.0)[0], SAMPLE_RATE)
    return files, times
