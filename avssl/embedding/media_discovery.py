"""Discovery of user media, and of the windows in them: a folder, a manifest or one file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from avssl.data.window_reader import Source
from avssl.data.worker_loader import Batch, ErrorsAsResults, in_order, read_error
from avssl.datasets.layouts.files import AUDIO_SUFFIXES, VIDEO_SUFFIXES, walk
from avssl.datasets.manifest import NAME, read_manifest
from avssl.datasets.recording_keys import checksum
from avssl.embedding.duration_cache import media_duration
from avssl.errors import InputError
from avssl.io.progress import ProgressBar
from avssl.media import probe
from avssl.media.streams import AudioReader
from avssl.printable_text import utf8_text
from avssl.regular_files import check_regular, is_regular
from avssl.stores.virtual_paths import is_address

WINDOWS_PER_SOURCE = 512
"""Longer files become several sources, so that memory is flat."""


@dataclass(frozen=True)
class Medium:
    """Media under one name."""

    name: str
    """Path relative to the folder, bytes that are not UTF-8 printed as such, or key in the manifest."""
    video: Path | None
    audio: Path | None
    start: float = 0.0
    """Seconds from the beginning of the files to its own."""
    seconds: float = math.inf
    """At most so long."""


@dataclass
class MediaFiles:
    """Media files to embed."""

    sources: dict[str, list[Source]]
    """By tower; in order, a file's one after the other."""
    rates: set[int] = field(default_factory=set)
    """Hz of the sounds."""
    broken: dict[str, str] = field(default_factory=dict)
    """Name -> why it cannot be read."""


def find_media(root: Path, leave_out: Path) -> list[Medium]:
    """The media of a manifest or below a folder, subfolders and linked ones included; or one file; also on a store.

    Raises:
        InputError: there are none, or the manifest cannot be used.
    """
    if root.suffix == ".parquet" or is_regular(root / NAME):
        manifest = read_manifest(root)
        paths = [(row, manifest.root / row.video, manifest.root / row.audio) for row in manifest]
        return [Medium(row.key, video, audio, row.start, row.seconds) for row, video, audio in paths]
    store = is_address(root)
    if not root.exists() and not store:
        raise InputError(f"{root}: expected a folder of media, a manifest or a media file; there is nothing")
    folder = not is_regular(root) if store else root.is_dir()
    if not folder:
        check_regular(root, "media")
    files = _below(root, leave_out) if folder else [root]
    if not files:
        raise InputError(f"{root}: expected media (.mp4, .webm, .avi, .wav, .flac, ...) below it, found none")
    names = [path.name if path == root else path.relative_to(root).as_posix() for path in files]
    return [_medium(name, path) for name, path in zip(_as_text(names), files, strict=True)]


def find_windows(
    found: Sequence[Medium], towers: Sequence[str], seconds: float, hop: float, workers: int
) -> MediaFiles:
    """Windows of media, every `hop` seconds from the beginning as long as they fit; a short file has one.

    Args:
        found: media; a tower passes over what has nothing for it.
        towers: audio, video.
        seconds: of a window.
        hop: seconds from one window to the next.
        workers: loader processes that read headers.
    """
    made = MediaFiles({tower: [] for tower in towers})
    jobs = [(medium, tower) for medium in found for tower in towers]
    with ProgressBar("read headers", len(jobs), "files") as bar:
        read = in_order(ErrorsAsResults(_measured), jobs, workers, group=lambda job: job[0].name)
        for (medium, tower), batch in zip(jobs, read, strict=True):
            bar.advance()
            if refused := read_error(batch):
                made.broken.setdefault(medium.name, str(refused))
                continue
            if rate := int(batch["rate"]):
                made.rates.add(rate)
            made.sources[tower] += _pieces(medium, tower, float(batch["seconds"]), seconds, hop)
    for name in made.broken:
        made.sources = {tower: [each for each in some if each.key != name] for tower, some in made.sources.items()}
    return made


def _below(root: Path, leave_out: Path) -> list[Path]:
    known = VIDEO_SUFFIXES | AUDIO_SUFFIXES
    paths = (folder / name for folder, _, names in walk(root, leave_out) for name in names)
    return sorted(path for path in paths if path.suffix.lower() in known)


def _as_text(names: Sequence[str]) -> list[str]:
    """Names as text that any table takes; of names that print the same, those that are not UTF-8 get a checksum."""
    texts = [utf8_text(name) for name in names]
    times = Counter(texts)
    return [
        f"{text}#{checksum(Path(name))}" if text != name and times[text] > 1 else text
        for name, text in zip(names, texts, strict=True)
    ]


def _medium(name: str, path: Path) -> Medium:
    return Medium(name, None if path.suffix.lower() in AUDIO_SUFFIXES else path, path)


def _measured(job: tuple[Medium, str]) -> Batch:
    """Seconds and sample rate of what a tower finds in a medium; 0 seconds where there is nothing for it."""
    medium, tower = job
    path = medium.video if tower == "video" else medium.audio
    seconds, rate = 0.0, 0
    if path is not None and _has(path, tower):
        rate = AudioReader(path).sample_rate if tower == "audio" else 0
        length = media_duration(path, tower)
        if length <= medium.start:
            raise InputError(f"{path}: expected {tower} after {medium.start:.3f} s, it ends at {length:.3f} s")
        seconds = min(length - medium.start, medium.seconds)
    return {"seconds": torch.tensor(seconds, dtype=torch.float64), "rate": torch.tensor(rate)}


def _has(path: Path, tower: str) -> bool:
    """Whether a file has a stream of frames, or of audio."""
    if path.suffix.lower() in AUDIO_SUFFIXES:
        return True
    there = probe(path)
    return bool(there.videos if tower == "video" else there.audio_streams)


def _pieces(medium: Medium, tower: str, length: float, seconds: float, hop: float) -> list[Source]:
    path = medium.video if tower == "video" else medium.audio
    if path is None or length <= 0:
        return []
    count = max(1, math.floor((length - seconds) / hop + 1e-6) + 1)
    starts = [medium.start + place * hop for place in range(count)]
    return [
        Source(medium.name, path, tuple(starts[at : at + WINDOWS_PER_SOURCE]))
        for at in range(0, count, WINDOWS_PER_SOURCE)
    ]
