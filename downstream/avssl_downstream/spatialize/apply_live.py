"""Spatialize a stream: from a pipe, a device or a file to a pipe or a wav, window by window."""

# C output channels

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from lightning_fabric import Fabric
from torch import Tensor

from avssl.errors import InputError
from avssl.io.live_paths import is_live
from avssl.media.wav_writer import write_wav
from avssl_downstream.spatialize.calibration import Calibration
from avssl_downstream.spatialize.frame_features import FrameFeatures, LiveFrames
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.inference import WindowSchedule
from avssl_downstream.spatialize.live_input import LiveInput
from avssl_downstream.spatialize.live_output import LiveOutput
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.output_media import WAV, check_format, check_output, convert_output
from avssl_downstream.spatialize.streaming import StreamingSpatializer, generate_stream

logger = logging.getLogger(f"avssl.{__name__}")
CHANNELS = {"binaural": 2, "stereo": 2, "5.1": 6, "7.1": 8}
"""Channels of `options.target`; others have the generator's."""


def apply_live(
    source: Path,
    target: Path,
    generator: Generator,
    options: SpatializeOptions,
    fabric: Fabric,
    calibration: Calibration | None = None,
) -> None:
    """Write a stream with spatial audio as its input comes, one window at a time.

    Args:
        source: `-` for standard input, a named pipe or a device with a container of audio and video; or a file.
        target: `-` for standard output, a named pipe or a device: a container with the source's video; or a `.wav`.
        generator: fitted, in evaluation mode, on the fabric's device.
        options: hop of windows, mix, target format, HRIRs.
        fabric: device and precision.
        calibration: of the generator's output; None: as it is.

    Raises:
        InputError: the source has no audio or no video, or others than the generator takes, see `LiveInput`; or it
            breaks off: to a pipe all of it is written before, a wav is not.
        OSError: the target cannot be written.
    """
    _check(source, target, generator, options)
    with ExitStack() as stack:
        media, frames = stack.enter_context(LiveInput(source, generator, options)), LiveFrames(generator)
        schedule, features = WindowSchedule(options.hop, 1), FrameFeatures(generator, frames)
        spatializer = StreamingSpatializer(generator, features, media.sample_rate, schedule, fabric, calibration)
        logger.info("%s: output follows input by %.2f s at most", media.name, spatializer.delay)
        output = None
        if is_live(target):
            output = stack.enter_context(LiveOutput(target, media, CHANNELS.get(options.target, generator.channels)))
        blocks = media.audio_blocks(frames, output.copy if output else lambda packet: None)
        made = convert_output(generate_stream(spatializer, blocks), generator, options, media.sample_rate)
        whole = _whole(_timed(made, media), media)
        if output is None:
            write_wav(target, whole, media.sample_rate)
            return
        for block in whole:
            output.write(block)


def _check(source: Path, target: Path, generator: Generator, options: SpatializeOptions) -> None:
    if options.segmenter or options.method == "prior":
        given = f"segmenter={options.segmenter}" if options.segmenter else f"method={options.method}"
        raise InputError(f"expected neither segmenter nor method=prior for a stream, got {given}; leave it out")
    if not is_live(target):
        if target.suffix.lower() != WAV:
            raise InputError(f"expected a pipe (-) or the name of a .wav file to write from a pipe, got {target}")
        check_output(source, target, generator, options)
    else:
        check_format(target, generator, options, any_video=True)


def _whole(blocks: Iterable[Tensor], media: LiveInput) -> Iterator[Tensor]:
    """The same blocks, and an error at the end if the input broke off."""
    yield from blocks
    media.check_complete()


def _timed(blocks: Iterable[Tensor], media: LiveInput) -> Iterator[Tensor]:
    """The same blocks, and a message of their speed at the end."""
    start, samples = time.monotonic(), 0
    for block in blocks:
        samples += block.shape[1]
        yield block
    seconds, taken = samples / media.sample_rate, time.monotonic() - start
    logger.info(
        "%s: %.1f s of audio in %.1f s, %.1f x real time", media.name, seconds, taken, seconds / max(taken, 1e-9)
    )
