"""A file with mono or stereo sound into one with spatial sound, of any length, in flat memory."""

# C channels of the output

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from avssl.media.resample import resample_blocks
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.inference import DelayLine, WindowSchedule, generate_stream
from avssl_downstream.spatialize.input_media import InputMedia
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.output_media import check_output, convert_output, write_output
from avssl_downstream.spatialize.verify_output import verification_message


def apply(source: Path, target: Path, generator: Generator, options: SpatializeOptions, fabric: Fabric) -> None:
    """Make a file with spatial sound; it appears when it is whole.

    Args:
        source: a video with sound.
        target: a `.mp4` or `.mov`, whose pictures are the source's, or a `.wav`.
        generator: fitted, in evaluation mode, on the fabric's device.
        options: pace, mix, target, ears.
        fabric: precision.

    Raises:
        FileNotFoundError: there is no such source.
        InputError: the source has no sound or no pictures, or others than the generator is made for; see `InputMedia`,
            `check_output` and `convert_output`.
        OSError: the target cannot be written.
    """
    check_output(source, target, generator, options)
    file = InputMedia(source, generator, options)
    pace = WindowSchedule(options.hop, options.windows)
    pace.overlap(generator)
    whole = shown(spatial(file, generator, fabric, pace), file, target.name)
    wanted = convert_output(whole, generator, options, file.sample_rate)
    write_output(target, file, wanted, generator.panoramic, options.codec)
    if generator.output != "binaural" and options.target in ("", "ambix"):
        say = Console(stderr=True, highlight=False, soft_wrap=True).print
        say(verification_message(target, file), markup=False)


def spatial(file: InputMedia, generator: Generator, fabric: Fabric, pace: WindowSchedule) -> Iterator[Tensor]:
    """Spatial sound at the rate of the file, in blocks `(C, samples)`.

    The generator works at its own rate, and says by how much each channel differs from the mono sound. That goes to the
    file's rate and is added to what the file has: what lies above the generator's band stays, from straight ahead or
    all around, and W is the file's own sound, bit for bit; so are all four channels where a field is given.
    """
    native = DelayLine(file.audio_blocks())
    low = DelayLine(resample_blocks(native, file.sample_rate, generator.sample_rate))
    made = generate_stream(generator, low, file.frame_features(generator), fabric, pace)
    added = (_added(block, low.take(block.shape[1]), generator) for block in made)
    for block in resample_blocks(added, generator.sample_rate, file.sample_rate):
        given = native.take(block.shape[1])  # less than the block at the end, where rates do not divide
        yield _joined(given, block[:, : given.shape[1]], generator)


def shown(blocks: Iterable[Tensor], file: InputMedia, title: str) -> Iterator[Tensor]:
    """The same blocks, while a bar shows how far into the file they are."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f} s"), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(title, total=file.seconds or None)
        for block in blocks:
            yield block
            progress.advance(bar, block.shape[1] / file.sample_rate)


def _added(made: Tensor, given: Tensor, generator: Generator) -> Tensor:
    """What is not the given sound itself."""
    return made - given if generator.output == "binaural" else made[generator.input_channels :]


def _joined(given: Tensor, added: Tensor, generator: Generator) -> Tensor:
    """`(C, samples)`."""
    return given + added if generator.output == "binaural" else torch.cat([given, added])
