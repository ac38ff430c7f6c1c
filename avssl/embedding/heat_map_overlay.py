"""Overlay of a dense task's heat map on 360-degree video: cells that match the audio, over time."""

# B windows of a batch, T frames of a window, h and w rows and columns of cells

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import default_collate

from avssl.data.clip import Clip
from avssl.data.clip_options import Reading
from avssl.data.window_reader import iterate_window_frames
from avssl.embedding.trained_task import load_dense_task
from avssl.errors import InputError
from avssl.evaluation.dense_localization import DenseTask
from avssl.media import read_resampled
from avssl.media.colour_bar import ColourBar
from avssl.media.energy_overlay import ambisonic_layout
from avssl.media.overlay_video import Image, OverlayFormat, blend, open_audio, open_panoramas, write_overlay
from avssl.media.streams import AudioReader
from avssl.models.encoders import Encoders
from avssl.models.geometry import InputGeometry
from avssl.models.runtime import single_process
from avssl.spatial.loudspeakers import downmix_stereo

HOP = 0.25
"""Seconds between windows; heat maps are interpolated linearly between them."""
BATCH = 4
"""Windows in memory at once."""
MAX_OPACITY = 0.7
OPAQUE_AT = 0.5
"""Similarity from which on the opacity is highest."""
TITLE = "similarity of audio and image (cosine)"
Map = NDArray[np.float32]


def write_heat_map_video(
    path: Path | str,
    images: Path | str,
    sound: Path | str,
    run: Path | str,
    *,
    layout: str = "auto",
    frame_rate: float = 10.0,
    height: int = 448,
    declared: bool = False,
    progress: bool = True,
) -> None:
    """Write a video with the heat map of a dense task drawn over each frame, and a colour bar.

    Windows of the trained length move over the film. Video and audio start together and the shorter one ends it. Memory
    does not grow with the length.

    Args:
        path: the mp4 to write; its audio is mono or stereo as it was, or a stereo downmix of ambisonics.
        images: an equirectangular video.
        sound: a file with first-order ambisonics, or with one or two channels where the features of the encoders take
            them; possibly the same file.
        run: run folder of a dense task.
        layout: channel layout of ambisonics: auto, or one of `avssl.media.channel_layouts.NAMES`.
        frame_rate: output frames per second.
        height: output height in pixels; the width is twice that.
        declared: treat the frames as equirectangular whatever header or aspect ratio.
        progress: show a progress bar.

    Raises:
        InputError: no run of a dense task, frames not equirectangular, audio that the features do not take, invalid
            numbers, or a target that is not .mp4 or .mov or is one of the input files.
        OSError: the file cannot be written.
    """
    form = OverlayFormat(frame_rate, height)
    video, audio = open_panoramas(Path(images), declared), open_audio(Path(sound))
    task, dense = load_dense_task(Path(run))
    channels = _channels(audio, layout, task.encoders)
    fabric = single_process("32-true")
    task.to(fabric.device)
    windows = _Windows(dense, _geometry(task.encoders, Path(run)), task.encoders.sample_rate, channels.to_task, fabric)
    bar = ColourBar(TITLE, form.size)

    def draw(frames: Iterator[Image]) -> Iterator[Image]:
        hop, seconds = max(HOP, 1 / frame_rate), min(video.length(), audio.length())
        maps = interpolated(windows.maps(video.path, audio, seconds, hop), hop, frame_rate)
        return (
            bar.draw(blend(frame, strength, MAX_OPACITY, OPAQUE_AT))
            for frame, strength in zip(frames, maps, strict=False)
        )

    to_stereo, title = channels.to_stereo, "draw heat map"
    write_overlay(Path(path), video, audio, form, draw=draw, to_stereo=to_stereo, title=title, progress=progress)


def interpolated(maps: Iterator[Map], hop: float, frame_rate: float) -> Iterator[Map]:
    """Maps at the times of frames, linear between those at multiples of `hop` seconds, as long as there are two."""
    frame = 0
    for place, (earlier, later) in enumerate(pairwise(maps)):
        while (position := frame / frame_rate / hop - place) < 1 - 1e-9:
            yield (1 - position) * earlier + position * later
            frame += 1


@dataclass(frozen=True)
class _Channels:
    """Conversions of the native channels of a file."""

    to_task: Callable[[Tensor], Tensor]
    """To ambiX `(4, samples)`, or to `(1, samples)`."""
    to_stereo: Callable[[Tensor], Tensor]
    """To `(2, samples)`."""


def _channels(audio: AudioReader, layout: str, encoders: Encoders) -> _Channels:
    if audio.channels > 2 or layout != "auto":
        known = ambisonic_layout(audio, layout)
        return _Channels(known.to_ambix, lambda native: downmix_stereo(known.to_ambix(native)))
    if 1 not in encoders.features.accepted:
        kind, name = ("mono", "stereo")[audio.channels - 1], encoders.features.name
        raise InputError(
            f"{audio.path}: expected first-order ambisonics for encoders on {name}, this sound is {kind}; "
            "encoders on mono-logmel take it"
        )
    return _Channels(lambda native: native.mean(0, keepdim=True), lambda native: native.expand(2, -1))


def _geometry(encoders: Encoders, run: Path) -> InputGeometry:
    if encoders.geometry is None:
        raise InputError(f"{run}: expected encoders with the length of their windows, got none; train them again")
    return encoders.geometry


@dataclass(frozen=True)
class _Windows:
    """Heat maps of windows of a film."""

    task: DenseTask
    geometry: InputGeometry
    sample_rate: int
    to_task: Callable[[Tensor], Tensor]
    fabric: Fabric

    def maps(self, video: Path, audio: AudioReader, seconds: float, hop: float) -> Iterator[Map]:
        """Maps `(h, w)` in 0..1 at multiples of `hop`, to the first one past `seconds`.

        The windows at both ends are moved inside.
        """
        length = self.geometry.seconds
        centres = hop * np.arange(math.ceil(seconds / hop) + 1)
        starts = np.clip(centres - length / 2, 0, max(0.0, seconds - length)).tolist()
        span = self.geometry.frames / self.geometry.frame_rate
        into = max(0.0, min(length, seconds) - span) / 2
        reading = Reading(length, self.geometry.frames, self.geometry.frame_rate, resize=0, size=0)
        frames = iterate_window_frames(video, [start + into for start in starts], reading)
        for first in range(0, len(starts), BATCH):
            clips = zip(self._audio(audio, starts[first : first + BATCH], seconds), frames, strict=False)
            yield from self._compare([self._clip(each, images, video) for each, images in clips])

    def _audio(self, audio: AudioReader, starts: list[float], seconds: float) -> Iterator[Tensor]:
        """Audio of windows; short at the end of the film."""
        first, length = starts[0], self.geometry.seconds
        whole = min(starts[-1] + length, seconds) - first
        native = read_resampled(audio.path, first, whole, self.sample_rate, range(audio.channels), audio.stream)
        if not bool(native.isfinite().all()):
            raise InputError(f"{audio.path}: audio contains NaN or Inf after {first:.2f} s")
        converted, samples = self.to_task(native), round(length * self.sample_rate)
        for start in starts:
            begin = round((start - first) * self.sample_rate)
            window = converted[:, begin : begin + samples]
            yield pad(window, (0, samples - window.shape[1]))

    def _clip(self, audio: Tensor, frames: Tensor, path: Path) -> dict[str, Tensor]:
        clip = Clip(frames, audio, self.sample_rate, str(path))
        return self.task.evaluation_views(clip, np.random.default_rng(0))

    @torch.inference_mode()
    def _compare(self, views: list[dict[str, Tensor]]) -> Iterator[Map]:
        batch: dict[str, Tensor] = default_collate(views)
        _, maps = self.task.compare(self.fabric.to_device(batch))
        yield from maps.amax(1).clamp(0, 1).float().cpu().numpy()
