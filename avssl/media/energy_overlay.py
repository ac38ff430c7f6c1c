"""Overlay of directional audio energy on 360-degree video."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.errors import InputError
from avssl.media.channel_layouts import ChannelLayout, check_name, find_layout
from avssl.media.overlay_video import (
    BLOCK,
    HIGHEST,
    Image,
    OverlayFormat,
    blend,
    open_audio,
    open_panoramas,
    side_by_side,
    write_overlay,
)
from avssl.media.streams import AudioReader
from avssl.spatial.energy_map import energy_map
from avssl.spatial.loudspeakers import downmix_stereo

ROWS = 32
"""Height of the energy map; sufficient for first order."""
SMOOTHING = 0.5
"""Exponential smoothing factor per frame: at 10 frames/s energy halves in 0.1 s."""
MAX_OPACITY = 0.6
"""Opacity of the loudest direction."""
WIDEST = 2 * HIGHEST
"""Pixels of all frames beside each other, as of one frame of the largest height."""
RANGE_DB = 30.0
"""Level below the loudest frame so far at which the overlay is transparent."""


def write_energy_video(
    path: Path | str,
    images: Path | str,
    field: Path | str,
    *,
    layout: str = "auto",
    frame_rate: float = 10.0,
    height: int = 448,
    declared: bool = False,
    progress: bool = True,
    beside: Mapping[str, Path] | None = None,
    label: str = "recorded",
) -> None:
    """Write a video with the directional energy of a sound field drawn over each frame.

    Video and audio start together and the shorter one ends it. Memory does not grow with the length.

    Args:
        path: the mp4 to write; its audio is a stereo downmix of the field.
        images: an equirectangular video.
        field: a file with first-order ambisonics, possibly the same file.
        layout: channel layout of the fields: auto, or one of `avssl.media.channel_layouts.NAMES`.
        frame_rate: output frames per second.
        height: output height in pixels; the width is twice that for each field.
        declared: treat the frames as equirectangular whatever header or aspect ratio.
        progress: show a progress bar.
        beside: label -> file of a further sound field of the same film, drawn over the same frames beside it, such as
            those that generators made; each field is scaled by its own loudest moment.
        label: of `field`, where others are beside it.

    Raises:
        InputError: frames not equirectangular, audio not first-order ambisonics, invalid numbers, a label that stands
            twice, frames too wide, or a target that is not .mp4 or .mov or is one of the input files.
        OSError: the file cannot be written.
    """
    form = OverlayFormat(frame_rate, height)
    files = _labelled_files(label, Path(field), beside or {})
    _check_width(form, len(files))
    video, audio = open_panoramas(Path(images), declared), {each: open_audio(file) for each, file in files.items()}
    known = {each: ambisonic_layout(reader, layout) for each, reader in audio.items()}

    def draw(frames: Iterator[Image]) -> Iterator[Image]:
        levels = [_maps(reader, known[each].to_ambix, frame_rate) for each, reader in audio.items()]
        for frame, *now in zip(frames, *levels, strict=False):
            drawn = [_blend(frame, *level) for level in now]
            yield drawn[0] if len(drawn) == 1 else side_by_side(dict(zip(audio, drawn, strict=True)))

    write_overlay(
        Path(path),
        video,
        audio[label],
        form,
        draw=draw,
        to_stereo=lambda native: downmix_stereo(known[label].to_ambix(native)),
        title="draw energy",
        progress=progress,
        others=list(files.values()),
        panoramic=len(files) == 1,
    )


def _labelled_files(label: str, field: Path, beside: Mapping[str, Path]) -> dict[str, Path]:
    if label in beside:
        raise InputError(f"expected a label for each sound field, got {label!r} twice; it is that of the first one")
    return {label: field, **beside}


def _check_width(form: OverlayFormat, fields: int) -> None:
    if (width := fields * form.size[1]) > WIDEST:
        raise InputError(
            f"expected frames of at most {WIDEST} pixels in all, got {fields} of {form.size[1]} ({width}); lower height"
        )


def ambisonic_layout(audio: AudioReader, name: str) -> ChannelLayout:
    """Channel layout of a file with ambisonics.

    Args:
        audio: the file.
        name: auto, or one of `avssl.media.channel_layouts.NAMES`.

    Raises:
        InputError: unknown name, or audio that is not ambisonics of this layout.
    """
    try:
        check_name(name)
        return find_layout(name, audio.channels, audio.codec, audio.mark)
    except InputError as error:
        raise InputError(f"{audio.path}: {error}") from error


def _maps(
    audio: AudioReader, prepared: Callable[[Tensor], Tensor], frame_rate: float
) -> Iterator[tuple[NDArray[np.float32], float]]:
    """Per frame: energy map `(ROWS, 2 ROWS)` scaled to 0..1, and overall level 0..1."""
    power: Tensor | None = None
    loudest = 1e-12
    step = audio.sample_rate / frame_rate
    for segment in _frame_segments(map(prepared, audio.play(BLOCK)), step):
        now = energy_map(segment, ROWS, 2 * ROWS).square()
        power = now if power is None else SMOOTHING * power + (1 - SMOOTHING) * now
        peak = float(power.max())
        loudest = max(loudest, peak)
        presence = min(1.0, max(0.0, 1 + 10 * np.log10(max(peak, 1e-12) / loudest) / RANGE_DB))
        low = power.min()
        # First-order beams are wide: subtract the minimum.
        yield ((power - low) / (power.max() - low).clamp(min=1e-12)).numpy().astype(np.float32), presence


def _frame_segments(blocks: Iterable[Tensor], step: float) -> Iterator[Tensor]:
    """Split audio blocks into one segment per frame of `step` samples."""
    held: Tensor | None = None
    index, dropped = 0, 0
    for block in blocks:
        held = block if held is None else torch.cat([held, block], 1)
        while held.shape[1] >= (length := round((index + 1) * step) - dropped):
            yield held[:, :length]
            held, dropped, index = held[:, length:], dropped + length, index + 1


def _blend(frame: Image, strength: NDArray[np.float32], presence: float) -> Image:
    return blend(frame, strength, MAX_OPACITY * presence)
