"""Transcode recordings to a manifest with small proxies: parallel, restartable, with a report of failures."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avssl.datasets.dataset import Dataset
from avssl.datasets.layout import load_layout
from avssl.datasets.manifest import NAME, Row, write_manifest
from avssl.datasets.prepare_journal import Journal, check_prepare_folder
from avssl.datasets.prepare_report import Failure, PrepareReport, by_key
from avssl.datasets.share_splits import group_name, parse_shares, split_by_shares
from avssl.datasets.transcode import MEDIA, PARTIAL, Job, Options, failure, prepare_one
from avssl.errors import InputError, OutputError
from avssl.io.cores import usable_cores
from avssl.io.folder_lock import folder_lock
from avssl.io.process_pool import outcomes
from avssl.io.progress import ProgressBar
from avssl.io.worker_settings import patience
from avssl.media.cube_faces import FACES
from avssl.printable_text import printable
from avssl.stores.virtual_paths import is_address


def prepare(
    root: Path,
    out: Path,
    layout: str,
    *,
    projection: str = "auto",
    channel_layout: str = "auto",
    split: str = "",
    group_by: str = "source",
    height: int = 224,
    frame_rate: float = 16.0,
    sample_rate: int = 24000,
    frames: str = "h264",
    faces: str = FACES,
    workers: int | None = None,
    progress: bool = True,
) -> PrepareReport:
    """Turn recordings into `manifest.parquet`, proxies in `media`, `failed.parquet` and `report.json`.

    Clips that an earlier run prepared from the same files are left as they are; failed ones are tried again.

    Args:
        root: folder of the recordings, also on a store, such as `s3://bucket/folder`; not written to.
        out: output folder; for one root and one set of options.
        layout: name of an installed layout, see `avssl.datasets.layout`, whose recordings have video and audio.
        projection: auto (by the layout, the header, then the shape), equirect, flat: an ordinary field of view, or
            eac or cubemap, which are converted to equirectangular frames.
        channel_layout: auto (by the layout, the number of channels and the codec), or one of
            `avssl.media.channel_layouts.NAMES` or `PAIRS`.
        split: set of split lists, such as split1; empty: the first; or shares of a folder without lists, such as
            0.8/0.1/0.1, see `avssl.datasets.share_splits`. Clips that were prepared with another one are not prepared
            again.
        group_by: recordings that stay together in splits by shares, see `avssl.datasets.share_splits.group_name`.
        height: rows of the proxies; width is twice that, or follows the aspect ratio of flat video.
        frame_rate: highest number of frames per second.
        sample_rate: Hz of the prepared audio.
        frames: of the proxies: h264, or jpeg, which are larger and read faster, see `avssl.media.jpeg_frames`.
        faces: order of the faces of frames that are declared as cubemap, see `avssl.media.cube_faces.FACES`.
        workers: processes; None: one per core.
        progress: show a bar, or log lines where standard error is no terminal.

    Returns:
        Prepared clips, failures and missing names.

    Raises:
        InputError: no recordings, an invalid option, `out` belongs to other settings, or another process writes there.
        OSError: `out` cannot be written; when the disk is full, what is complete stays and the next run continues.
    """
    options = Options(projection, channel_layout, height, frame_rate, sample_rate, frames, faces)
    if workers is not None and workers < 1:
        raise InputError(f"workers must be 1 or more, not {workers}")
    found = read_recordings(root, out, layout, split, group_by)
    with _disk_full_in_one_line(out), folder_lock(out):
        check_prepare_folder(out)
        settings = {
            "root": printable(root if is_address(root) else root.resolve()),
            "layout": layout,
            **_settings(options),
        }
        with Journal(out, found.root, settings) as journal, _workplace(out):
            report = _run(found, journal, options, workers or usable_cores(), progress)
            _write(report)
    return report


def _settings(options: Options) -> dict[str, Any]:
    """Options as the journal keeps them, without those that folders of earlier versions lack and that are default."""
    found = asdict(options)
    for name in ("frames", "faces"):
        if found[name] == getattr(Options, name):
            del found[name]
    return found


def read_recordings(root: Path, out: Path, layout: str, split: str = "", group_by: str = "source") -> Dataset:
    """Recordings with video and audio under a root; see `prepare`.

    Raises:
        InputError: an unknown layout, no such folder, an empty one, no such split lists, output and root are the same
            folder, or the layout's recordings lack video or audio.
    """
    kind, shares = load_layout(layout), parse_shares(split)
    group_name(group_by)  # raises before files are looked for
    if split and shares is None and not kind.has_split_choice():
        raise InputError(
            f"split {split!r}: the layout {layout} has no choice of split lists; shares are given as 0.8/0.1/0.1"
        )
    if not root.is_dir() and not is_address(root):
        raise InputError(
            f"{root}: expected a folder of recordings, {'this is a file' if root.exists() else 'there is none'}"
        )
    if root.resolve() == out.resolve():
        raise InputError(f"{out}: recordings and proxies need folders of their own, these are the same")
    found = kind(kind.Options(split=split) if split and shares is None else None).read(root, out)
    _check_whole_recordings(found, layout)
    return found if shares is None else split_by_shares(found, shares, group_by)


def _check_whole_recordings(found: Dataset, layout: str) -> None:
    """Check that recordings are whole files with video and audio."""
    for name in ("video", "audio"):
        if lacking := [each.key for each in found.recordings if not getattr(each, name)]:
            raise InputError(
                f"{found.root}: `avssl prepare` expects recordings with video and audio, those of the layout {layout} "
                f"have no {'video' if name == 'video' else 'audio of their own'}, the first is {lacking[0]!r}"
            )
    if cut := [each.key for each in found.recordings if each.start]:
        raise InputError(
            f"{found.root}: `avssl prepare` expects whole files, the layout {layout} cuts them, the first is {cut[0]!r}"
        )


def _run(found: Dataset, journal: Journal, options: Options, workers: int, progress: bool) -> PrepareReport:
    rows: list[Row] = []
    failures: list[Failure] = []
    jobs: list[Job] = []
    for recording in found.recordings:
        job = Job(found.root, recording, journal.out, options)
        if recording.problem:
            failures.append(failure(job, recording.problem))
        elif row := journal.find(recording):
            rows.append(row)
        else:
            jobs.append(job)
    skipped = len(rows)
    for job, outcome in _shown(jobs, workers, progress):
        if isinstance(outcome, Row):
            journal.note(job.recording, outcome)
            rows.append(outcome)
        else:
            failures.append(outcome)
    rows.sort(key=lambda row: row.key)
    return PrepareReport(journal.out, rows, by_key(failures), skipped, found.missing, found.lists, found.leakage)


def _shown(jobs: Sequence[Job], workers: int, progress: bool) -> Iterator[tuple[Job, Row | Failure]]:
    """Outcomes of all jobs, with a progress bar.

    Raises:
        OSError: a worker found the disk full.
    """
    if not jobs:
        return
    numbers = ("{failed} failed", "{rate:.2f} clips/s")
    bar = ProgressBar("prepare", len(jobs), "clips", numbers=numbers, shown=progress)
    with bar, contextlib.closing(outcomes(prepare_one, jobs, workers, patience())) as results:
        failed = 0
        for job, outcome in results:
            if isinstance(outcome, OSError):
                raise outcome
            if isinstance(outcome, BaseException):
                outcome = failure(job, outcome)
            failed += isinstance(outcome, Failure)
            bar.advance(failed=failed)
            yield job, outcome


def _write(report: PrepareReport) -> None:
    if report.rows:
        write_manifest(report.out / NAME, report.rows)
    else:
        (report.out / NAME).unlink(missing_ok=True)
    report.write()


@contextlib.contextmanager
def _workplace(out: Path) -> Iterator[None]:
    """Create the folders that workers write to; remove partial files on exit."""
    partial = out / PARTIAL
    (out / MEDIA).mkdir(exist_ok=True)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _disk_full_in_one_line(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        line = f"{out}: the disk is full; what is complete stays, and the same command continues from there"
        raise OutputError(line) from error
