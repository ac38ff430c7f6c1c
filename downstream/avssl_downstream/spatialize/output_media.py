"""Output of `spatialize`: a wav, or an mp4 with the video stream of the input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from avssl.errors import InputError
from avssl.media.hrir_files import read_hrirs
from avssl.media.mp4.spatial_mp4 import AAC_RATES, write_spatial_mp4
from avssl.media.video_writer import require_writable
from avssl.media.wav_writer import write_wav
from avssl.spatial.binaural import ambisonic_filters, spherical_head, to_binaural
from avssl.spatial.loudspeakers import decode, downmix_stereo
from avssl.spatial.resample import resample_blocks
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.input_media import InputMedia
from avssl_downstream.spatialize.options import SpatializeOptions

VIDEO_SUFFIXES = (".mp4", ".mov")
WAV = ".wav"
VIDEO_SAMPLE_RATE = 48000
"""Hz, of a video file whose input has a sample rate that AAC does not support."""


def check_output(source: Path, target: Path, generator: Generator, options: SpatializeOptions) -> None:
    """Check before any computation that a file can be written.

    Raises:
        InputError: another suffix, the source itself, a folder, a format that this generator cannot produce or this
            file cannot hold, or HRIRs for an output that is not rendered with them.
        OSError: the folder cannot be written.
    """
    if target.suffix.lower() not in (*VIDEO_SUFFIXES, WAV):
        raise InputError(f"expected the name of a .mp4, .mov or .wav file to write, got {target}")
    if target.is_dir():
        raise InputError(f"{target}: expected a file to write, got a folder")
    if not (folder := target.absolute().parent).is_dir():
        raise InputError(f"{target}: expected an existing folder to write in, got {folder}")
    if target.exists() and source.exists() and target.samefile(source):
        raise InputError(f"{target}: expected another file than the input; write to another name")
    check_format(target, generator, options)
    require_writable(target)


def check_format(target: Path, generator: Generator, options: SpatializeOptions, any_video: bool = False) -> None:
    """Check that a generator gives the format of `options.target`, and that the file can hold it.

    Args:
        target: file to write.
        generator: gives the format of its output.
        options: the wanted format, HRIRs.
        any_video: the container holds any number of channels, as those of pipes do.

    Raises:
        InputError: it does not.
    """
    kind, wav = options.target, any_video or target.suffix.lower() == WAV
    if generator.output == "binaural" and kind not in ("", "binaural"):
        raise InputError(f"expected target=binaural, the output of generator {options.generator}, got target={kind}")
    if generator.output == "second-order" and (kind not in ("", "ambix") or not wav):
        raise InputError(f"{target}: expected a .wav and target=ambix for nine channels of second order")
    if options.hrirs and (kind != "binaural" or generator.output == "binaural"):
        raise InputError("expected target=binaural and an ambisonic generator beside hrirs; leave out hrirs")
    if kind == "7.1" and not wav:
        raise InputError(f"{target}: expected a .wav for target=7.1")


def convert_output(
    blocks: Iterable[Tensor], generator: Generator, options: SpatializeOptions, sample_rate: int
) -> Iterable[Tensor]:
    """Convert blocks `(C, samples)` of a generator's output to the format of `options.target`.

    Raises:
        InputError: `options.hrirs` is no HRIR set.
        OSError: it cannot be read.
    """
    kind = options.target
    if generator.output == "binaural" or kind in ("", "ambix"):
        return blocks
    if kind == "binaural":
        hrirs = read_hrirs(Path(options.hrirs)).resample(sample_rate) if options.hrirs else spherical_head(sample_rate)
        return _rendered(blocks, ambisonic_filters(hrirs, options.filters))
    return (downmix_stereo(block) if kind == "stereo" else decode(block, kind) for block in blocks)


def _rendered(blocks: Iterable[Tensor], filters: Tensor) -> Iterator[Tensor]:
    """Binaural blocks `(2, samples)` of ambisonic blocks `(4, samples)`, filtered without gaps."""
    before = torch.zeros(4, filters.shape[-1] - 1)
    for block in blocks:
        longer = torch.cat([before, block], 1)
        yield to_binaural(longer, filters)[:, before.shape[1] :]
        before = longer[:, longer.shape[1] - before.shape[1] :]


def write_output(
    target: Path, source: InputMedia, blocks: Iterable[Tensor], generator: Generator, options: SpatializeOptions
) -> None:
    """Write blocks `(channels, samples)`, completely or not at all.

    A wav has 32-bit floats. A video file has the copied video stream and audio of `options.codec`, at the sample rate
    of the source, or 48 kHz where AAC does not support that.

    Raises:
        InputError: there is no audio.
        OSError: the file cannot be written.
    """
    if target.suffix.lower() not in VIDEO_SUFFIXES:
        write_wav(target, blocks, source.sample_rate)
        return
    own = options.codec == "pcm" or source.sample_rate in AAC_RATES
    rate = source.sample_rate if own else VIDEO_SAMPLE_RATE
    audio = blocks if own else resample_blocks(blocks, source.sample_rate, rate)
    write_spatial_mp4(target, source.path, audio, rate, panoramic=generator.panoramic, codec=options.codec)
