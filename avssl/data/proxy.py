"""One recording -> a small short-GOP mp4, a first-order wav, and its row of the manifest."""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
import torchaudio
from torch import Tensor

from avssl.data.ambix import NAMES, SoundLayout, check_name, declared_layout, recognised_layout
from avssl.data.equirect import check_equirect
from avssl.data.field import FieldMeter
from avssl.data.layouts.recording import Recording
from avssl.data.manifest import Row
from avssl.data.media.pictures import iterate_frames
from avssl.data.media.whole import Pictures, Sound
from avssl.data.media.write import write_video
from avssl.data.report import Failure, printable

MEDIA = "media"
PARTIAL = ".partial"
GOP = 8
BLOCK = 60.0
"""Seconds of sound in memory at once."""
MARGIN = 1.0
"""Seconds of sound on either side of a block that its resampling sees."""
LOST = 0.5
"""Seconds that a file may end before its header says, on top of a tenth of its length."""
LEAST = 0.25
"""Seconds; less is no clip."""
# As librosa's kaiser_best: 64 zero crossings, stop band below 16 bits.
KAISER = {"lowpass_filter_width": 64, "rolloff": 0.9475937167399596, "beta": 14.769656459379492}


@dataclass(frozen=True)
class Options:
    """What the proxies depend on."""

    projection: str = "auto"
    """auto, or equirect: the user vouches for it."""
    sound_layout: str = "auto"
    """auto, or one of `avssl.data.ambix.NAMES`."""
    height: int = 224
    """Rows; twice as many columns."""
    frame_rate: float = 16.0
    """Most pictures a second; slower sources keep their rate."""
    sample_rate: int = 24000
    """Hz."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if self.projection not in ("auto", "equirect"):
            raise ValueError(f"projection is auto or equirect, not {self.projection!r}")
        check_name(self.sound_layout)
        if self.height < 16 or self.height % 2:
            raise ValueError(f"height is an even number of pixels, 16 or more, not {self.height}")
        if not 0 < self.frame_rate < math.inf:
            raise ValueError(f"frame rate must be positive, not {self.frame_rate}")
        if self.sample_rate < 8000:
            raise ValueError(f"sample rate must be 8000 Hz or more (directions are read up to 4 kHz), not {self.sample_rate}")


@dataclass(frozen=True)
class Job:
    """One recording to prepare, with all that a worker process needs to know."""

    recording: Recording
    out: Path
    """The folder of the manifest."""
    options: Options


@dataclass(frozen=True)
class Heard:
    """A recording's sound after the first hearing."""

    sound: Sound
    layout: SoundLayout
    meter: FieldMeter
    silent: str

    @property
    def seconds(self) -> float:
        """How long it really is."""
        return self.meter.samples / self.meter.sample_rate


def prepare_one(job: Job) -> Row | Failure:
    """Prepare a recording; both files appear under their names when they are complete, or neither does.

    Returns:
        Its row, or why there is none.

    Raises:
        OSError: the disk is full: a matter of the folder, not of the recording.
    """
    torch.set_num_threads(1)
    partial = [job.out / PARTIAL / f"{job.recording.key}{suffix}" for suffix in (".mp4", ".wav")]
    try:
        row = _prepare(job, *partial)
        for path in partial:
            path.replace(job.out / MEDIA / path.name)
        return row
    except Exception as error:  # whatever a decoder raises over a bad file costs that file, not the run
        if _is_disk_full(error, job.out):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(job.out)) from None
        return failure(job.recording, error)
    finally:
        for path in partial:
            path.unlink(missing_ok=True)


def failure(recording: Recording, reason: BaseException | str) -> Failure:
    """A recording's row in `failed.parquet`."""
    text = str(reason) or type(reason).__name__
    return Failure(recording.key, printable(recording.video), printable(text.splitlines()[0]))


def _prepare(job: Job, video: Path, wave: Path) -> Row:
    recording, options = job.recording, job.options
    pictures, refusals = Pictures(recording.video), []
    try:
        _check_pictures(pictures, job)
    except ValueError as error:
        refusals.append(str(error))
    try:
        heard = _hear(recording.sound, options, pictures.seconds)
    except ValueError as error:
        refusals.append(str(error))
    if refusals:
        raise ValueError("; ".join(refusals))
    length = _true_length(recording.video, pictures.length(), pictures.seconds)
    seconds = min(length, heard.seconds)
    if seconds < LEAST:
        raise ValueError(f"{recording.video}: picture and sound share {seconds:.2f} s, expected {LEAST} s at least")
    rate = min(options.frame_rate, pictures.frame_rate or options.frame_rate)
    _write_pictures(video, pictures, seconds, rate, options.height)
    _write_sound(wave, heard, seconds, options.sample_rate)
    azimuth, elevation, diffuseness = heard.meter.direction()
    return Row(
        key=recording.key,
        split=recording.split,
        video=f"{MEDIA}/{video.name}",
        sound=f"{MEDIA}/{wave.name}",
        start=0.0,
        seconds=seconds,
        frame_rate=rate,
        width=2 * options.height,
        height=options.height,
        sample_rate=options.sample_rate,
        layout=heard.layout.name,
        silent_channels=heard.silent,
        azimuth=azimuth,
        elevation=elevation,
        diffuseness=diffuseness,
        source=printable(recording.video),
    )


def _check_pictures(pictures: Pictures, job: Job) -> None:
    declared, vouched = job.options.projection == "equirect", job.recording.equirect
    check_equirect(
        pictures.width, pictures.height, pictures.projection, pictures.stereo, declared=declared, vouched=vouched
    )


def _hear(path: Path, options: Options, longest: float) -> Heard:
    """Listen once to what belongs to the pictures, and refuse what is not first-order ambisonics."""
    sound = Sound(path)
    name = options.sound_layout
    rule = declared_layout(name, sound.channels) if name in NAMES else recognised_layout(sound.channels, sound.codec)
    meter, power = FieldMeter(sound.sample_rate), torch.zeros(sound.channels, dtype=torch.float64)
    for block in sound.play(BLOCK):
        power += block.double().square().sum(-1)
        meter.add(rule.to_ambix(block))
        if longest and meter.samples >= (longest + 1) * sound.sample_rate:
            break
    else:
        _true_length(path, meter.samples / sound.sample_rate, sound.seconds)
    rule.check_unused(power)
    return Heard(sound, rule, meter, meter.silent_channels())


def _true_length(path: Path, found: float, promised: float) -> float:
    """The length found, unless the file broke off long before what its header promises."""
    if found < 0.9 * promised - LOST:
        raise ValueError(f"{path}: expected {promised:.1f} s, the file breaks off after {found:.1f} s")
    return found


def _write_pictures(target: Path, pictures: Pictures, seconds: float, rate: float, height: int) -> None:
    times = [index / rate for index in range(math.ceil(seconds * rate - 1e-6))]
    frames = iterate_frames(pictures.path, times, (height, 2 * height), pictures.stream)
    write_video(target, frames, rate, gop=GOP)


def _write_sound(target: Path, heard: Heard, seconds: float, sample_rate: int) -> None:
    """Write ambiX as 16-bit wav, turned down as a whole where it would clip."""
    gain = min(1.0, 0.99 / heard.meter.peak)
    left = round(seconds * sample_rate)
    # A wav holds 4 GiB; RF64 is the same with a longer header.
    kind = "WAV" if left * 4 * 2 < 2**32 - 4096 else "RF64"
    with soundfile.SoundFile(target, "w", sample_rate, 4, "PCM_16", format=kind) as file:
        for block in _resampled(heard, sample_rate):
            file.write((gain * block[:, :left]).clamp(-1, 1).T.numpy())
            left -= min(left, block.shape[1])
            if not left:
                break


def _resampled(heard: Heard, sample_rate: int) -> Iterator[Tensor]:
    """The whole sound at another rate, block by block, as if it were resampled in one piece.

    Blocks and margins are whole seconds, so that they begin on a sample at either rate.
    """
    source = heard.sound.sample_rate
    margin, wanted = round(MARGIN * source), round(MARGIN * sample_rate)
    before = torch.zeros(4, 0)
    held: Tensor | None = None
    for native in heard.sound.play(BLOCK):
        block = heard.layout.to_ambix(native)
        if held is not None:
            yield _resample(torch.cat([before, held, block[:, :margin]], 1), source, sample_rate)[
                :, wanted * bool(before.numel()) :
            ][:, : round(held.shape[1] / source * sample_rate)]
            before = held[:, -margin:]
        held = block
    if held is not None:
        yield _resample(torch.cat([before, held], 1), source, sample_rate)[:, wanted * bool(before.numel()) :]


def _resample(foa: Tensor, source: int, target: int) -> Tensor:
    if source == target:
        return foa
    resampled: Tensor = torchaudio.functional.resample(
        foa, source, target, resampling_method="sinc_interp_kaiser", **KAISER
    )
    return resampled


def _is_disk_full(error: BaseException | None, out: Path) -> bool:
    """Libraries lose the error number on the way: ask the disk too."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return shutil.disk_usage(out).free < 64 * 1024
