"""Activation maps of a generator over a whole film: a film with the maps drawn over its frames, or a picture."""

# T frames of a window, S samples, h and w rows and columns of a map

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from avssl.data.loader import first_frame
from avssl.errors import InputError
from avssl.io.atomic import replacing, scratch_folder
from avssl.io.folder_lock import file_lock
from avssl.io.progress import track
from avssl.media import read_resampled, write_video
from avssl.media.mp4.spatial_mp4 import AAC_RATES, write_spatial_mp4
from avssl.media.overlay_video import blend
from avssl.media.video_writer import require_writable
from avssl.spatial.resample import resample_blocks
from avssl_downstream.spatialize.activation_maps import activation_maps, plot_film
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.input_media import InputMedia
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.output_media import VIDEO_SAMPLE_RATE, VIDEO_SUFFIXES

ACTIVATIONS = "activations"
"""Value of the option `target`."""
PICTURE = ".png"
HOP = 0.25
"""Seconds between windows; maps are interpolated linearly between them."""
FRAME_RATE = 10.0
"""Frames per second of the film."""
HEIGHT = 224
"""Rows of a frame of the film, pixels."""
SHOWN = 5
"""Times in a picture, evenly spaced."""
MAX_OPACITY = 0.7

Image = NDArray[np.uint8]
Maps = dict[str, NDArray[np.float32]]
"""Name of a map -> `(h, w)`, 0 where it is least and 1 where it is most active."""


def write_activations(
    source: Path, target: Path, generator: Generator, options: SpatializeOptions, fabric: Fabric
) -> None:
    """Write the activation maps of a generator for a film; the file appears when it is complete.

    A film has each frame beside the same frame under each map, and the mono audio; a picture has `SHOWN` times of it.
    Each map is scaled to its own least and greatest value.

    Args:
        source: a video with audio.
        target: a `.mp4` or `.mov`, or a `.png`.
        generator: fitted, in evaluation mode, on the fabric's device.
        options: mix, panorama.
        fabric: device and precision.

    Raises:
        FileNotFoundError: the source does not exist.
        InputError: another suffix, the source itself, a generator without frames, or see `InputMedia`.
        OSError: the target cannot be written.
    """
    _check(source, target, generator)
    media = InputMedia(source, generator, options)
    with file_lock(target):
        if target.suffix.lower() == PICTURE:
            seconds = media.video.length()
            times = [(index + 0.5) / SHOWN * seconds for index in range(SHOWN)]
            frames = [next(iter(media.video.frames([time], _size(media)))) for time in times]
            with replacing(target) as part:
                plot_film(part, times, frames, list(film_maps(media, generator, fabric, times)))
            return
        with scratch_folder(target) as folder:
            drawn = folder / "drawn.mp4"
            write_video(drawn, _drawn(media, generator, fabric, target.name), FRAME_RATE, gop=round(2 * FRAME_RATE))
            audio = (block[:1] for block in media.audio_blocks())
            rate = media.sample_rate if media.sample_rate in AAC_RATES else VIDEO_SAMPLE_RATE
            write_spatial_mp4(target, drawn, resample_blocks(audio, media.sample_rate, rate), rate, panoramic=False)


def film_maps(media: InputMedia, generator: Generator, fabric: Fabric, times: list[float]) -> Iterator[Maps]:
    """Maps of the windows about some times, ascending, each scaled to 0..1."""
    frames, device = media.frame_features(generator).frames, fabric.device
    for time in times:
        first = first_frame(time, generator.frames, generator.frame_rate)
        window = torch.stack([frames.read(first + index) for index in range(generator.frames)])
        frames.discard(first)
        with torch.no_grad(), fabric.autocast():
            found = activation_maps(generator, window, _audio(media, generator, time).to(device))
        yield {name: _scaled(each) for name, each in found.items()}


def _audio(media: InputMedia, generator: Generator, time: float) -> Tensor:
    """Input audio `(I, S)` about a time, silent before the film and after it."""
    rate, samples = generator.sample_rate, generator.samples
    start = time - generator.seconds / 2
    found = media.mixed(read_resampled(media.path, max(0.0, start), generator.seconds + min(0.0, start), rate))
    before = round(max(0.0, -start) * rate)
    found = found[:, : samples - before]
    return pad(found, (before, samples - before - found.shape[1]))


def _drawn(media: InputMedia, generator: Generator, fabric: Fabric, title: str) -> Iterator[Image]:
    """Frames of the film: each beside itself under each map."""
    count = max(1, int(media.video.length() * FRAME_RATE))
    times = [index / FRAME_RATE for index in range(count)]
    coarse = [index * HOP for index in range(int(times[-1] / HOP) + 2)]
    maps = _interpolated(film_maps(media, generator, fabric, coarse), times)
    shown = track(times, title, "frames", transient=True)
    for _, frame, each in zip(shown, media.video.frames(times, _size(media)), maps, strict=False):
        over = [blend(frame, strength, MAX_OPACITY, seam=generator.panoramic) for strength in each.values()]
        yield np.concatenate([frame, *over], 1)


def _interpolated(maps: Iterator[Maps], times: list[float]) -> Iterator[Maps]:
    """Maps at the times of frames, linear between those at multiples of `HOP`."""
    frame = 0
    for place, (earlier, later) in enumerate(pairwise(maps)):
        while frame < len(times) and (position := times[frame] / HOP - place) < 1 - 1e-9:
            yield {name: (1 - position) * each + position * later[name] for name, each in earlier.items()}
            frame += 1


def _size(media: InputMedia) -> tuple[int, int]:
    """Even rows and columns of the film's frames."""
    return HEIGHT, max(2, round(HEIGHT * media.video.width / media.video.height / 2) * 2)


def _scaled(found: Tensor) -> NDArray[np.float32]:
    low, high = found.min(), found.max()
    return np.asarray(((found - low) / (high - low).clamp(min=1e-12)).numpy(), np.float32)


def _check(source: Path, target: Path, generator: Generator) -> None:
    if target.suffix.lower() not in (*VIDEO_SUFFIXES, PICTURE):
        raise InputError(f"expected the name of a .mp4, .mov or .png file to write activation maps, got {target}")
    if not generator.uses_frames:
        raise InputError(f"{target}: expected a generator with frames for activation maps, got one without")
    if target.exists() and source.exists() and target.samefile(source):
        raise InputError(f"{target}: expected another file than the input; write to another name")
    require_writable(target)
