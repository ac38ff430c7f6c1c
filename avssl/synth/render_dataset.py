"""Scenes as a data set of real files, with its manifest and its truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from avssl.datasets.manifest import NAME, Row, write_manifest
from avssl.io.atomic import replacing
from avssl.media import write_audio, write_video
from avssl.synth.dataset_base import SyntheticDataset, require
from avssl.synth.output_folder import MEDIA, TRUTH, init_output_folder
from avssl.synth.rendering import rendered

GOP = 8
"""Frames from one key frame to the next: any instant is decoded in a few milliseconds."""


@dataclass(frozen=True)
class Job:
    """One scene to render."""

    out: Path
    world: SyntheticDataset[Any]
    index: int

    def __str__(self) -> str:
        return f"{self.out}: scene {self.index}"

    @property
    def video(self) -> str:
        """Its pictures, relative to the folder."""
        return f"{MEDIA}/{self.index:05d}.mp4"

    @property
    def audio(self) -> str:
        """Its sound, relative to the folder."""
        return f"{MEDIA}/{self.index:05d}.wav"

    @property
    def sources(self) -> str:
        """Its sources one by one, relative to the folder."""
        return f"{MEDIA}/{self.index:05d}-sources.wav"


def write_dataset(
    out: Path, world: SyntheticDataset[Any], clips: int, *, workers: int | None, test_share: float, progress: bool
) -> Path:
    """Render scenes: H.264 video, sound, manifest and truth.

    A larger world of the same seed begins with the smaller one. What an earlier, interrupted run of the same world left
    in `out` is kept.

    Args:
        out: folder to write to; made if it is not there.
        world: which scenes.
        clips: how many.
        workers: processes; 1 renders in this one, None takes one a core.
        test_share: share of the scenes that the manifest calls test, spread evenly.
        progress: whether a bar shows how far it is, on stderr.

    Returns:
        Path of the manifest.

    Raises:
        InputError: a number that has no meaning, or `out` holds something else.
        OSError: `out` cannot be written.
    """
    _check(world, clips, workers, test_share)
    init_output_folder(out, world.name, world.settings())
    world.prepare(out, progress)
    jobs = [Job(out, world, index) for index in range(clips)]
    found = rendered(render, jobs, workers, progress, folders=[out / MEDIA])
    rows, tables = zip(*found, strict=True)
    with replacing(out / TRUTH) as part:
        pq.write_table(pa.concat_tables(tables), part)
    splits = ["test" if _is_test(index, test_share) else "train" for index in range(clips)]
    write_manifest(out / NAME, [Row(**(row | {"split": split})) for row, split in zip(rows, splits, strict=True)])
    return out / NAME


Result = tuple[dict[str, object], pa.Table]


def render(job: Job) -> Result:
    """Write a scene's files where they are missing.

    Returns:
        Its row of the manifest, without the split, and its truth.
    """
    world, scene = job.world, job.world.describe(job.index)
    if not (job.out / job.audio).is_file():
        write_audio(job.out / job.audio, world.audio(scene), world.form.sample_rate)
    if world.apart and not (job.out / job.sources).is_file():
        write_audio(job.out / job.sources, world.sources(scene), world.form.sample_rate)
    if not (job.out / job.video).is_file():
        write_video(job.out / job.video, world.frames(scene), world.form.frame_rate, gop=GOP)
    return _row(job, scene.key), world.truth(scene)


def _row(job: Job, key: str) -> dict[str, object]:
    world, lens = job.world, job.world.form.lens()
    audio, rate = soundfile.read(job.out / job.audio, dtype="float32", always_2d=True)
    azimuth, elevation, diffuseness = world.direction(audio.T.copy(), rate)
    return {
        "key": key,
        "video": job.video,
        "audio": job.audio,
        "start": 0.0,
        "seconds": len(audio) / rate,
        "frame_rate": world.form.frame_rate,
        "width": lens.width,
        "height": lens.height,
        "sample_rate": rate,
        "layout": world.layout,
        "silent_channels": "",
        "azimuth": azimuth,
        "elevation": elevation,
        "diffuseness": diffuseness,
        "source": f"{world.name}-{world.seed}-{key}",
    }


def _is_test(index: int, share: float) -> bool:
    """Spreads the share evenly: of every 1/share scenes, the last is a test scene."""
    return math.floor((index + 1) * share + 1e-9) > math.floor(index * share + 1e-9)


def _check(world: SyntheticDataset[Any], clips: int, workers: int | None, test_share: float) -> None:
    constraints = (
        (clips >= 1, f"clips is at least 1, not {clips}"),
        *world.constraints(),
        (workers is None or workers >= 1, f"workers is at least 1, not {workers}"),
        (0 <= test_share <= 1, f"test_share lies in 0..1, not {test_share}"),
    )
    require(world.name, constraints)
