"""synth360: a data set of made-up scenes as real files, with its manifest and its truth."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from avssl.data.manifest import NAME, Row, write_manifest
from avssl.data.media import write_sound, write_video
from avssl.data.media.write import SLOWEST
from avssl.data.pool import CrashError, cores, outcomes
from avssl.scenes.field import render_sound
from avssl.scenes.picture import render_frames
from avssl.scenes.scene import Format, describe
from avssl.scenes.truth import truth
from avssl.spatial.ambisonics import intensity_direction

VERSION = 2
"""Of the world: raised whenever the same seed gives another scene."""
GOP = 8
"""Frames from one key frame to the next: any instant is decoded in a few milliseconds."""
SETTINGS = "scenes.json"
TRUTH = "truth.parquet"


@dataclass(frozen=True)
class Job:
    """One scene to render."""

    out: Path
    seed: int
    index: int
    form: Format

    @property
    def video(self) -> str:
        """Its pictures, relative to the folder."""
        return f"media/{self.index:05d}.mp4"

    @property
    def sound(self) -> str:
        """Its sound, relative to the folder."""
        return f"media/{self.index:05d}.wav"


def synth360(
    out: Path,
    clips: int,
    seconds: float,
    seed: int,
    *,
    width: int = 448,
    frame_rate: float = 16.0,
    sample_rate: int = 24000,
    workers: int | None = None,
    test_share: float = 0.25,
    progress: bool = True,
) -> Path:
    """Render a made-up world: H.264 video, four-channel sound, manifest and truth.

    Scene i depends on `seed` and i alone, so that a larger world of the same seed begins with the smaller one. What an
    earlier, interrupted run of the same world left in `out` is kept.

    Args:
        out: folder to write to; made if it is not there.
        clips: scenes.
        seconds: length of a scene.
        seed: same seed, same world.
        width: columns of a frame, a multiple of 4; half as many rows.
        frame_rate: frames a second.
        sample_rate: Hz.
        workers: processes; 1 renders in this one, None takes one a core.
        test_share: share of the scenes that the manifest calls test, spread evenly.
        progress: whether a bar shows how far it is.

    Returns:
        Path of the manifest.

    Raises:
        ValueError: a number that has no meaning, or `out` holds something else.
        OSError: `out` cannot be written.
    """
    form = Format(seconds, width, frame_rate, sample_rate)
    _check(clips, form, seed, workers, test_share)
    _claim(out, {"world": "synth360", "version": VERSION, "seed": seed} | asdict(form))
    jobs = [Job(out, seed, index, form) for index in range(clips)]
    try:
        found = _watched(_rendered(jobs, min(workers or cores(), clips)), clips, progress)
    finally:
        _sweep(out)
    rows, tables = zip(*(found[index] for index in range(clips)), strict=True)
    _write(out / TRUTH, partial(pq.write_table, pa.concat_tables(tables)))
    splits = ["test" if _is_test(index, test_share) else "train" for index in range(clips)]
    write_manifest(out / NAME, [Row(**(row | {"split": split})) for row, split in zip(rows, splits, strict=True)])
    return out / NAME


Result = tuple[dict[str, object], pa.Table]


def render(job: Job) -> Result:
    """Write a scene's files where they are missing.

    Returns:
        Its row of the manifest, without the split, and its truth.
    """
    scene, form = describe(job.seed, job.index), job.form
    if not (job.out / job.sound).is_file():
        write_sound(job.out / job.sound, torch.from_numpy(render_sound(scene, form)), form.sample_rate)
    if not (job.out / job.video).is_file():
        write_video(job.out / job.video, render_frames(scene, form), form.frame_rate, gop=GOP)
    return _row(job, scene.key), truth(scene, form)


def _render_alone(job: Job) -> Result:
    """As one of several processes, each with one thread."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return render(job)


def _row(job: Job, key: str) -> dict[str, object]:
    sound, rate = soundfile.read(job.out / job.sound, dtype="float32", always_2d=True)
    azimuth, elevation, diffuseness = intensity_direction(torch.from_numpy(sound.T.copy()), rate)
    return {
        "key": key,
        "video": job.video,
        "sound": job.sound,
        "start": 0.0,
        "seconds": len(sound) / rate,
        "frame_rate": job.form.frame_rate,
        "width": job.form.width,
        "height": job.form.width // 2,
        "sample_rate": rate,
        "layout": "ambix",
        "silent_channels": "",
        "azimuth": math.degrees(azimuth),
        "elevation": math.degrees(elevation),
        "diffuseness": float(diffuseness),
        "source": f"synth360-{job.seed}-{key}",
    }


def _rendered(jobs: list[Job], workers: int) -> Iterator[tuple[int, Result]]:
    if workers == 1:
        yield from ((job.index, render(job)) for job in jobs)
        return
    for job, outcome in outcomes(_render_alone, jobs, workers):
        if isinstance(outcome, CrashError):
            raise ValueError(f"{job.out}: scene {job.index} cannot be rendered: {outcome}") from outcome
        if isinstance(outcome, BaseException):
            raise outcome
        yield job.index, outcome


def _watched(results: Iterator[tuple[int, Result]], clips: int, progress: bool) -> dict[int, Result]:
    bar = Progress(
        TextColumn("rendering"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]} clips/s"),
        TimeElapsedColumn(), TimeRemainingColumn(), disable=not progress,
    )  # fmt: skip
    found = {}
    with bar:
        task = bar.add_task("", total=clips, rate="-")
        for index, result in results:
            found[index] = result
            bar.update(task, advance=1, rate=f"{bar.tasks[0].speed or 0:.1f}")
    return found


def _is_test(index: int, share: float) -> bool:
    """Spreads the share evenly: of every 1/share scenes, the last is a test scene."""
    return math.floor((index + 1) * share + 1e-9) > math.floor(index * share + 1e-9)


def _check(clips: int, form: Format, seed: int, workers: int | None, test_share: float) -> None:
    demands = (
        (clips >= 1, f"clips is at least 1, not {clips}"),
        (0.25 <= form.seconds < math.inf, f"seconds is at least 0.25, not {form.seconds}"),
        (seed >= 0, f"seed is not negative, this is {seed}"),
        (form.width >= 32 and form.width % 4 == 0, f"width is a multiple of 4 from 32 up, not {form.width}"),
        (SLOWEST <= form.frame_rate < math.inf, f"frame_rate is at least {SLOWEST}, not {form.frame_rate}"),
        (form.sample_rate >= 16000, f"sample_rate is at least 16000 Hz, not {form.sample_rate}"),
        (workers is None or workers >= 1, f"workers is at least 1, not {workers}"),
        (0 <= test_share <= 1, f"test_share lies in 0..1, not {test_share}"),
    )
    for met, demand in demands:
        if not met:
            raise ValueError(f"synth360: {demand}")


def _claim(out: Path, settings: dict[str, object]) -> None:
    """Make the folder this world's, or refuse one that is something else's."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: expected a folder to write to, this is a file")
    note = out / SETTINGS
    if note.is_file():
        try:
            found = json.loads(note.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{note}: expected the settings of a world, cannot read them: {error}") from error
        if not isinstance(found, dict):
            raise ValueError(f"{note}: expected the settings of a world, it holds {found!r:.40}")
        differing = [name for name, value in settings.items() if found.get(name) != value]
        if differing:
            name = differing[0]
            raise ValueError(
                f"{out}: holds a world of {name} {found.get(name)!r}, not {settings[name]!r}; give another folder"
            )
    elif (out / NAME).exists():
        raise ValueError(f"{out}: holds a manifest that synth360 did not write; give another folder")
    (out / "media").mkdir(parents=True, exist_ok=True)
    _write(note, lambda path: path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8"))


def _sweep(out: Path) -> None:
    """Remove what processes that were stopped had begun to write."""
    for path in (out / "media").glob(".*.part.*"):
        writer = path.name.split(".")[2]
        if writer.isdecimal() and not _runs(int(writer)):
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
