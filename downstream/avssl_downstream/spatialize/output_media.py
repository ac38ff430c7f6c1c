"""Spatial sound into files: a wav, or an mp4 with the pictures that it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import soundfile
import torch
from avssl.errors import InputError
from torch import Tensor

from avssl.data.atomic import replacing
from avssl.media.hrir_files import read_hrirs
from avssl.media.mp4.spatial_mp4 import AAC_RATES, write_spatial_mp4
from avssl.media.resample import resample_blocks
from avssl.media.video_writer import require_writable, writing
from avssl.spatial.binaural import ambisonic_filters, spherical_head, to_binaural
from avssl.spatial.loudspeakers import decode, downmix_stereo
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.input_media import InputMedia
from avssl_downstream.spatialize.options import SpatializeOptions

FILMS = (".mp4", ".mov")
WAV = ".wav"
FILM_RATE = 48000
"""Hz, of a film whose source has a rate that its codec lacks."""
LARGEST_WAV = 2**32 - 4096
"""Bytes; RF64 is the same with a longer header."""


def check_output(source: Path, target: Path, generator: Generator, options: SpatializeOptions) -> None:
    """See before any work that a file can be written.

    Raises:
        InputError: another suffix, the source itself, a folder, a kind of sound that this generator cannot make or
            this file cannot hold, or ears for what is not heard by any.
        OSError: its folder cannot be written.
    """
    if target.suffix.lower() not in (*FILMS, WAV):
        raise InputError(f"{target}: expected the name of a .mp4, .mov or .wav file to write")
    if target.is_dir():
        raise InputError(f"{target}: expected a file to write, this is a folder")
    folder, kind = target.absolute().parent, options.target
    if not folder.is_dir():
        raise InputError(f"{target}: expected a folder to write in, {folder} is none")
    if target.exists() and source.exists() and target.samefile(source):
        raise InputError(f"{target}: is the file to be read; write another one")
    if generator.output == "binaural" and kind not in ("", "binaural"):
        raise InputError(f"target is binaural for this generator, which makes sound for two ears, not {kind!r}")
    if generator.output == "second-order" and (kind not in ("", "ambix") or target.suffix.lower() != WAV):
        raise InputError(f"{target}: a field of second order is written to a .wav of nine channels, ambix")
    if options.hrirs and (kind != "binaural" or generator.output == "binaural"):
        raise InputError("hrirs are for a sound field that is made binaural (target=binaural), this is none")
    if kind == "7.1" and target.suffix.lower() != WAV:
        raise InputError(f"{target}: 7.1 is written to a .wav")
    require_writable(target)


def convert_output(
    blocks: Iterable[Tensor], generator: Generator, options: SpatializeOptions, sample_rate: int
) -> Iterable[Tensor]:
    """Blocks of what a generator made as another kind of sound, that of `options.target`.

    Raises:
        InputError: `options.hrirs` are no head-related responses.
        OSError: there are none.
    """
    kind = options.target
    if generator.output == "binaural" or kind in ("", "ambix"):
        return blocks
    if kind == "binaural":
        head = read_hrirs(Path(options.hrirs)).at(sample_rate) if options.hrirs else spherical_head(sample_rate)
        return _heard(blocks, ambisonic_filters(head, options.filters))
    return (downmix_stereo(block) if kind == "stereo" else decode(block, kind) for block in blocks)


def _heard(blocks: Iterable[Tensor], filters: Tensor) -> Iterator[Tensor]:
    """A field to two ears, block by block as if it were one."""
    before = torch.zeros(4, filters.shape[-1] - 1)
    for block in blocks:
        longer = torch.cat([before, block], 1)
        yield to_binaural(longer, filters)[:, before.shape[1] :]
        before = longer[:, longer.shape[1] - before.shape[1] :]


def write_output(target: Path, source: InputMedia, blocks: Iterable[Tensor], panoramic: bool, codec: str) -> None:
    """Write blocks `(channels, samples)`, whole or not at all: 32-bit float in a wav, a codec beside copied pictures.

    A film has the rate of its source, or 48 kHz where AAC has no such rate.

    Raises:
        InputError: there is no sound.
        OSError: the file cannot be written.
    """
    if target.suffix.lower() in FILMS:
        rate = source.sample_rate if codec == "pcm" or source.sample_rate in AAC_RATES else FILM_RATE
        audio = resample_blocks(blocks, source.sample_rate, rate) if rate != source.sample_rate else blocks
        write_spatial_mp4(target, source.path, audio, rate, panoramic=panoramic, codec=codec)
        return
    waiting = iter(blocks)
    first = next(waiting, None)
    if first is None:
        raise InputError(f"{target}: expected sound to write, there is none")
    size = 4 * len(first) * source.seconds * source.sample_rate
    kind = "WAV" if size < LARGEST_WAV else "RF64"
    with (
        replacing(target) as part,
        writing(target),
        soundfile.SoundFile(part, "w", source.sample_rate, len(first), "FLOAT", format=kind) as file,
    ):
        for block in chain([first], waiting):
            file.write(block.T.numpy())
