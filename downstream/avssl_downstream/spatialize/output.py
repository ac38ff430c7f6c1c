"""Spatial sound into files: a wav, or an mp4 with the pictures that it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile

import soundfile
import torch
from torch import Tensor

from avssl.data.atomic import replacing
from avssl.data.media.spatial_mp4 import write_spatial_mp4
from avssl.data.media.write import writing
from avssl.spatial.binaural import ambisonic_filters, spherical_head, to_binaural
from avssl.spatial.speakers import decode, preview
from avssl_downstream.spatialize.file import Source
from avssl_downstream.spatialize.generator import Generator

FILMS = (".mp4", ".mov")
WAV = ".wav"
LARGEST_WAV = 2**32 - 4096
"""Bytes; RF64 is the same with a longer header."""


def check_target(source: Path, target: Path, generator: Generator, kind: str) -> None:
    """See before any work that a file can be written.

    Raises:
        ValueError: another suffix, the source itself, a folder, or a kind of sound that this generator cannot make or
            this file cannot hold.
        OSError: its folder cannot be written.
    """
    if target.suffix.lower() not in (*FILMS, WAV):
        raise ValueError(f"{target}: expected the name of a .mp4, .mov or .wav file to write")
    if target.is_dir():
        raise ValueError(f"{target}: expected a file to write, this is a folder")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise ValueError(f"{target}: expected a folder to write in, {folder} is none")
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target}: is the file to be read; write another one")
    if generator.output == "binaural" and kind not in ("", "binaural"):
        raise ValueError(f"target is binaural for this generator, which makes sound for two ears, not {kind!r}")
    if generator.output == "second-order" and (kind not in ("", "ambix") or target.suffix.lower() != WAV):
        raise ValueError(f"{target}: a field of second order is written to a .wav of nine channels, ambix")
    if kind == "7.1" and target.suffix.lower() != WAV:
        raise ValueError(f"{target}: 7.1 is written to a .wav")
    try:
        with TemporaryFile(dir=folder):  # a folder may say it can be written and refuse all the same
            pass
    except OSError as error:
        raise OSError(f"{target}: its folder cannot be written: {error.strerror}") from error


def converted(blocks: Iterable[Tensor], kind: str, sample_rate: int) -> Iterator[Tensor]:
    """Blocks of a sound field as another kind of sound, one of `options.TARGETS`."""
    if kind in ("", "ambix"):
        yield from blocks
    elif kind == "binaural":
        yield from _heard(blocks, ambisonic_filters(spherical_head(sample_rate)))
    else:
        yield from (preview(block) if kind == "stereo" else decode(block, kind) for block in blocks)


def _heard(blocks: Iterable[Tensor], filters: Tensor) -> Iterator[Tensor]:
    """A field to two ears, block by block as if it were one."""
    before = torch.zeros(4, filters.shape[-1] - 1)
    for block in blocks:
        longer = torch.cat([before, block], 1)
        yield to_binaural(longer, filters)[:, before.shape[1] :]
        before = longer[:, longer.shape[1] - before.shape[1] :]


def write(target: Path, source: Source, blocks: Iterable[Tensor], panoramic: bool, codec: str) -> None:
    """Write blocks `(channels, samples)`, whole or not at all: 32-bit float in a wav, a codec beside copied pictures.

    Raises:
        ValueError: there is no sound.
        OSError: the file cannot be written.
    """
    if target.suffix.lower() in FILMS:
        write_spatial_mp4(target, source.path, blocks, source.sample_rate, panoramic=panoramic, codec=codec)
        return
    waiting = iter(blocks)
    first = next(waiting, None)
    if first is None:
        raise ValueError(f"{target}: expected sound to write, there is none")
    size = 4 * len(first) * source.seconds * source.sample_rate
    kind = "WAV" if size < LARGEST_WAV else "RF64"
    with (
        replacing(target) as part,
        writing(target),
        soundfile.SoundFile(part, "w", source.sample_rate, len(first), "FLOAT", format=kind) as file,
    ):
        for block in chain([first], waiting):
            file.write(block.T.numpy())
