"""Where it sounds, drawn on the picture: an overlay of directional energy on 360-degree video, with its sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.errors import InputError
from avssl.io.progress import track
from avssl.media import write_spatial_mp4, write_video
from avssl.media.channel_layouts import NAMES, SoundLayout, check_name, declared_layout, recognised_layout
from avssl.media.projection_check import check_equirect
from avssl.media.streams import AudioReader, VideoReader
from avssl.media.video_writer import SLOWEST, require_writable
from avssl.spatial.energy_map import energy_map
from avssl.spatial.loudspeakers import downmix_stereo

FILMS = (".mp4", ".mov")
BLOCK = 5.0
"""Seconds of sound in memory at once."""
ROWS = 32
"""Of the map; a first-order field has nothing finer."""
SMOOTH = 0.5
"""Share of the map before that stays in the next: at 10 pictures a second, halved in 0.1 s."""
OPAQUE = 0.6
"""Of the loudest direction."""
RANGE_DB = 30.0
"""Below the loudest picture so far, where the overlay has faded out."""


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
) -> None:
    """Draw on each picture how loud the field is in every direction, bright where it is loudest, and keep its sound.

    Pictures and sound begin together and the shorter one ends it. Memory does not grow with the length.

    Args:
        path: the mp4 to write; its sound is the stereo preview of the field.
        images: a video of equirectangular pictures.
        field: a file with a first-order field, which may be the same.
        layout: of the field's channels, as `prepare` has it: auto, or one of `avssl.media.channel_layouts.NAMES`.
        frame_rate: pictures a second to draw.
        height: of the pictures drawn, in pixels; twice as wide.
        declared: the pictures are equirectangular whatever their header or shape says.
        progress: whether to show a bar.

    Raises:
        InputError: pictures that are not equirectangular, sound that is no first-order field, numbers that have no
            meaning, or a target that is no .mp4 or .mov, or one of the files to be read.
        OSError: the file cannot be written.
    """
    _check(frame_rate, height)
    film, (audio, known) = _sphere(Path(images), declared), _field(Path(field), layout)
    target, size = _target(Path(path), film.path, audio.path), (height // 2 * 2, height // 2 * 4)
    times = list(np.arange(max(1, int(film.length() * frame_rate))) / frame_rate)
    shown = track(times, "draw energy", "frames", shown=progress, transient=True)
    frames = film.frames(times, size)
    maps = _maps(audio, known.to_ambix, frame_rate)
    drawn = (_drawn(frame, *level) for _, frame, level in zip(shown, frames, maps, strict=False))
    with TemporaryDirectory(prefix=f".{target.stem}-", dir=target.parent) as folder:
        silent = Path(folder) / "drawn.mp4"
        write_video(silent, drawn, frame_rate, gop=round(2 * frame_rate) or 1)
        heard = _heard(audio, known, VideoReader(silent).length())
        write_spatial_mp4(target, silent, heard, audio.sample_rate, panoramic=True)


def _check(frame_rate: float, height: int) -> None:
    if not SLOWEST <= frame_rate < math.inf:
        raise InputError(f"frame_rate is {SLOWEST} pictures a second or more, not {frame_rate}")
    if height < ROWS:
        raise InputError(f"height is {ROWS} rows or more, not {height}")


def _target(path: Path, *read: Path) -> Path:
    """The film to be written, seen to before any work."""
    if path.suffix.lower() not in FILMS:
        raise InputError(f"{path}: expected the name of a .mp4 or .mov file to write")
    if path.is_dir():
        raise InputError(f"{path}: expected a file to write, this is a folder")
    if path.exists() and any(path.samefile(each) for each in read):
        raise InputError(f"{path}: is a file to be read; write another one")
    return require_writable(path)


def _sphere(path: Path, declared: bool) -> VideoReader:
    frames = VideoReader(path)
    try:
        check_equirect(frames, declared=declared, vouched=False, declare="--panorama")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return frames


def _field(path: Path, name: str) -> tuple[AudioReader, SoundLayout]:
    audio = AudioReader(path)
    try:
        check_name(name)
        declared = name in NAMES
        layout = declared_layout(name, audio.channels) if declared else recognised_layout(audio.channels, audio.codec)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return audio, layout


def _heard(audio: AudioReader, layout: SoundLayout, seconds: float) -> Iterator[Tensor]:
    left = round(seconds * audio.sample_rate)
    for block in audio.play(BLOCK):
        yield downmix_stereo(layout.to_ambix(block[:, :left]))
        left -= min(left, block.shape[1])
        if not left:
            return


def _maps(
    audio: AudioReader, prepared: Callable[[Tensor], Tensor], frame_rate: float
) -> Iterator[tuple[NDArray[np.float32], float]]:
    """For each picture how far every direction stands out, 0 to 1, `(ROWS, 2 ROWS)`; and how loud it is, 0 to 1."""
    power: Tensor | None = None
    loudest = 1e-12
    step = audio.sample_rate / frame_rate
    for piece in _pieces(map(prepared, audio.play(BLOCK)), step):
        now = energy_map(piece, ROWS, 2 * ROWS).square()
        power = now if power is None else SMOOTH * power + (1 - SMOOTH) * now
        peak = float(power.max())
        loudest = max(loudest, peak)
        presence = min(1.0, max(0.0, 1 + 10 * np.log10(max(peak, 1e-12) / loudest) / RANGE_DB))
        low = power.min()
        # A first-order beam is wide: what is drawn is where it stands out.
        yield ((power - low) / (power.max() - low).clamp(min=1e-12)).numpy().astype(np.float32), presence


def _pieces(blocks: Iterable[Tensor], step: float) -> Iterator[Tensor]:
    """The sound of each picture, from where it begins to where the next one does."""
    held: Tensor | None = None
    index, dropped = 0, 0
    for block in blocks:
        held = block if held is None else torch.cat([held, block], 1)
        while held.shape[1] >= (length := round((index + 1) * step) - dropped):
            yield held[:, :length]
            held, dropped, index = held[:, length:], dropped + length, index + 1


def _drawn(frame: NDArray[np.uint8], strength: NDArray[np.float32], presence: float) -> NDArray[np.uint8]:
    # The left edge goes on at the right one.
    height, width = frame.shape[:2]
    wide = cv2.resize(np.hstack([strength] * 3), (3 * width, height), interpolation=cv2.INTER_CUBIC)
    smooth = np.clip(wide[:, width : 2 * width], 0, 1)
    colours = cv2.applyColorMap((255 * smooth).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    share = (OPAQUE * presence * smooth)[..., None]
    return np.asarray(frame * (1 - share) + colours * share).round().astype(np.uint8)
