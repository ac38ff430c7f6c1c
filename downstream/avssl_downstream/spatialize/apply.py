"""Spatialize a file with mono or stereo audio, of any length, in flat memory."""

# C output channels

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from lightning_fabric import Fabric
from torch import Tensor

from avssl.io.folder_lock import file_lock
from avssl.io.live_paths import is_live
from avssl.io.progress import ProgressBar
from avssl_downstream.spatialize.apply_live import apply_live
from avssl_downstream.spatialize.calibration import Calibration
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.inference import WindowSchedule
from avssl_downstream.spatialize.input_media import InputMedia
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.output_media import check_output, convert_output, write_output
from avssl_downstream.spatialize.streaming import StreamingSpatializer, generate_stream
from avssl_downstream.spatialize.verify_output import verification_message

logger = logging.getLogger(f"avssl.{__name__}")


def apply(
    source: Path,
    target: Path,
    generator: Generator,
    options: SpatializeOptions,
    fabric: Fabric,
    prior: Tensor | None = None,
    calibration: Calibration | None = None,
) -> None:
    """Write a file with spatial audio; it appears when it is complete. For pipes and devices see `apply_live`.

    Args:
        source: a video with audio.
        target: a `.mp4` or `.mov` with the video stream of the source, or a `.wav`.
        generator: fitted, in evaluation mode, on the fabric's device.
        options: window schedule, mix, target format, HRIRs.
        fabric: device and precision.
        prior: gains `(C, I)` from input to output channels that are applied instead of the generator.
        calibration: of the generator's output; None: as it is.

    Raises:
        FileNotFoundError: the source does not exist.
        InputError: the source has no audio or no video, or others than the generator takes; see `InputMedia`,
            `check_output` and `convert_output`. Or another process writes the target.
        OSError: the target cannot be written.
    """
    if is_live(source) or is_live(target):
        apply_live(source, target, generator, options, fabric, calibration)
        return
    check_output(source, target, generator, options)
    with file_lock(target):
        _apply(source, target, generator, options, fabric, prior, calibration)


def _apply(
    source: Path,
    target: Path,
    generator: Generator,
    options: SpatializeOptions,
    fabric: Fabric,
    prior: Tensor | None,
    calibration: Calibration | None,
) -> None:
    media = InputMedia(source, generator, options)
    schedule, blocks = WindowSchedule(options.hop, options.windows), media.audio_blocks()
    if prior is None:
        features = media.frame_features(generator)
        spatializer = StreamingSpatializer(generator, features, media.sample_rate, schedule, fabric, calibration)
        made = generate_stream(spatializer, blocks)
    else:
        made = (prior @ block for block in blocks)
    generated = with_progress(made, media, target.name)
    write_output(target, media, convert_output(generated, generator, options, media.sample_rate), generator, options)
    if generator.output != "binaural" and options.target in ("", "ambix"):
        logger.info("%s", verification_message(target, media))


def with_progress(blocks: Iterable[Tensor], media: InputMedia, title: str) -> Iterator[Tensor]:
    """The same blocks `(C, samples)`, while a progress bar counts their seconds."""
    with ProgressBar(title, media.seconds or None, "s", numbers=("{rate:.1f} x real time",)) as bar:
        for block in blocks:
            yield block
            bar.advance(block.shape[1] / media.sample_rate)
