"""Video that browsers play: the file itself, or a proxy in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from avssl.io.progress import track
from avssl.media import probe, write_spatial_mp4, write_video
from avssl.media.video_reader import VideoReader

PLAYED = {
    ".mp4": ("h264", "vp9", "av1"),
    ".m4v": ("h264",),
    ".mov": ("h264",),
    ".webm": ("vp8", "vp9", "av1", "libdav1d", "libvpx", "libvpx-vp9"),
}
"""Suffix -> FFmpeg's names of codecs that Chromium, Firefox and Safari play in it."""
COPIED = ("h264", "vp9", "av1", "libdav1d", "libvpx-vp9")
"""Codecs that are copied to an mp4 unchanged."""
HIGHEST = 1080
"""Rows of a proxy."""
SILENT_RATE = 8000
"""Hz of the silent track that a copied video gets."""
GOP_SECONDS = 1.0
"""Between the key frames of a proxy: a seek decodes at most so much."""


def browser_video(path: Path, video: VideoReader, folder: Path, progress: bool = True) -> Path:
    """A file of a film's video that browsers play: the film itself where its codec is one of theirs, else a proxy.

    Args:
        path: the film.
        video: its video.
        folder: for the proxy, which is renamed into place when it is complete.
        progress: show a progress bar.

    Raises:
        InputError: the film cannot be decoded.
        OSError: the proxy cannot be written.
    """
    codec = probe(path).videos[video.stream].codec
    if codec in PLAYED.get(path.suffix.lower(), ()):
        return path
    proxy = folder / "film.mp4"
    if codec in COPIED:
        write_spatial_mp4(proxy, path, _silence(video.length()), SILENT_RATE, panoramic=False)
    else:
        write_segment(proxy, video, 0.0, video.length(), HIGHEST, progress)
    return proxy


def write_segment(
    path: Path, video: VideoReader, start: float, seconds: float, highest: int, progress: bool = True
) -> None:
    """Write a segment of a film as an H.264 mp4 without sound.

    Args:
        path: the mp4 to write.
        video: the film.
        start: seconds from its beginning.
        seconds: length.
        highest: rows at most; the aspect ratio stays.
        progress: show a progress bar.

    Raises:
        InputError: the film cannot be decoded.
        OSError: the file cannot be written.
    """
    rate = video.frame_rate or 25.0
    times = [start + index / rate for index in range(max(1, round(seconds * rate)))]
    height, width = video.size
    scale = min(1.0, highest / height)
    size = max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2))
    shown = track(times, "convert the film for the browser", "frames", shown=progress, transient=True)
    frames = (frame for _, frame in zip(shown, video.frames(times, size), strict=False))
    write_video(path, frames, rate, gop=max(1, round(GOP_SECONDS * rate)), crf=20.0)


def _silence(seconds: float) -> Iterator[Tensor]:
    left = max(1, round(seconds * SILENT_RATE))
    while left > 0:
        yield torch.zeros(1, min(left, 10 * SILENT_RATE))
        left -= 10 * SILENT_RATE
