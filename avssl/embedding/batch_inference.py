"""Batch inference of frozen embedders: windows of any number of files to embeddings, in order, with flat memory."""

# N windows, C channels

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from avssl.config import check_precision
from avssl.data.clip_options import Reading
from avssl.data.window_reader import Source, iterate_window_frames, read_audio_windows
from avssl.data.worker_loader import Batch, ErrorsAsResults, in_order, read_error
from avssl.errors import InputError
from avssl.io.progress import ProgressBar
from avssl.models.embedder import AudioEmbedder, Embedder
from avssl.models.runtime import evaluating, single_process

BATCH = 32
"""Windows in one pass through a network, and in one read of a file, at most."""
NUMBERS = 10_000_000
"""Audio samples or pixel values in one pass, and in one read, at most."""
STRETCH = 10.0
"""Seconds between the first and the last window that are read in one go."""
GAP = 4.0
"""Seconds between two windows that are cheaper to jump over than to read."""

OnError = Callable[[Source, Exception], None]


def embed(
    embedder: Embedder,
    sources: Sequence[Source],
    reading: Reading,
    *,
    precision: str = "auto",
    workers: int = 2,
    progress: bool = True,
    title: str = "",
    on_error: OnError | None = None,
) -> Iterator[tuple[Source, Tensor]]:
    """Embeddings of the windows of files; a progress bar counts windows.

    Args:
        embedder: an `nn.Module`, such as `encoders.audio` or `encoders.video`; runs in evaluation mode. An
            `AudioEmbedder` gets audio at its sample rate, any other frames.
        sources: files and their windows; in memory are no more than a few windows, and the embeddings of one source.
        reading: how windows are read.
        precision: see `resolve_precision`.
        workers: loader processes; 0: none.
        progress: show the bar, on a terminal.
        title: of the bar.
        on_error: called with each source that cannot be read and its error; None: the first error is raised.

    Yields:
        Each source that can be read, in order, with float32 `(len(starts), width)` on the CPU.

    Raises:
        InputError: unknown precision; a file is broken, or has not as many channels as the features take.
        FileNotFoundError: a file is gone.
    """
    check_precision("embed", precision)
    assert isinstance(embedder, nn.Module)
    network: nn.Module = embedder
    read = _Reader(reading, _audio_input(embedder))
    jobs = [_split(source, read) for source in sources]
    flat = [job for some in jobs for job in some]
    fabric = single_process(precision)
    at = next(chain(network.parameters(), network.buffers())).device  # statistics have buffers alone
    network.to(fabric.device)
    try:
        with (
            evaluating(network),
            ProgressBar(title or f"embed {tower_of(embedder)}", sum(map(len, flat)), "windows", shown=progress) as bar,
        ):
            careful = read if on_error is None else ErrorsAsResults(read)
            batches = in_order(careful, flat, workers, group=lambda job: job.path)
            parts = _embedded(network, batches, fabric, bar)
            for source, some in zip(sources, jobs, strict=True):
                found = list(islice(parts, len(some)))
                refused = next((each for each in found if isinstance(each, Exception)), None)
                if refused is None:
                    yield source, _in_their_order(source, found, embedder.width)
                elif on_error is None:
                    raise refused
                else:
                    on_error(source, refused)
    finally:
        network.to(at)


_OVERFLOW = (
    "expected finite embeddings, got NaN or infinity: the encoders' weights are spoiled, or the precision is too low; "
    "try precision=32-true"
)


def tower_of(embedder: Embedder) -> str:
    """`audio` for an `AudioEmbedder`, else `video`."""
    return "audio" if isinstance(embedder, AudioEmbedder) else "video"


@dataclass(frozen=True)
class _Job:
    """Windows of one read."""

    path: Path
    starts: tuple[float, ...]
    """Ascending."""

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(frozen=True)
class _AudioInput:
    """Waveforms that an `AudioEmbedder` takes."""

    name: str
    sample_rate: int
    channels: int
    accepted: tuple[int, ...]


def _audio_input(embedder: Embedder) -> _AudioInput | None:
    if not isinstance(embedder, AudioEmbedder):
        return None
    features = embedder.features
    return _AudioInput(features.name, embedder.sample_rate, features.audio_channels, tuple(sorted(features.accepted)))


@dataclass(frozen=True)
class _Reader:
    """Reads jobs, frames where no audio is described; runs in a loader process."""

    reading: Reading
    audio: _AudioInput | None

    def __call__(self, job: _Job) -> Batch:
        if self.audio is None:
            return {"windows": torch.stack(list(iterate_window_frames(job.path, job.starts, self.reading)))}
        waveforms = read_audio_windows(job.path, job.starts, self.reading, self.audio.sample_rate)
        count = waveforms.shape[1]
        if count not in self.audio.accepted:
            takes = " or ".join(map(str, self.audio.accepted))
            hint = "; channels=4 takes the first four" if count > 4 else ""
            raise InputError(f"features {self.audio.name} take {takes} channels, {job.path} has {count}{hint}")
        return {"windows": waveforms}

    @property
    def most(self) -> int:
        """Windows of one read."""
        if self.audio is not None:
            each = self.reading.seconds * self.audio.sample_rate * self.audio.channels
        else:
            each = 3 * self.reading.frames * (self.reading.size or self.reading.resize or BATCH**2) ** 2
        return max(1, min(BATCH, int(NUMBERS / each)))


def _split(source: Source, read: _Reader) -> list[_Job]:
    """The windows of a file in the order of time, cut into jobs."""
    jobs: list[list[float]] = []
    for start in sorted(source.starts):
        together = jobs and len(jobs[-1]) < read.most and start - jobs[-1][0] <= STRETCH
        if together and start - jobs[-1][-1] <= read.reading.seconds + GAP:
            jobs[-1].append(start)
        else:
            jobs.append([start])
    return [_Job(source.path, tuple(starts)) for starts in jobs]


def _embedded(
    network: torch.nn.Module, batches: Iterable[Batch], fabric: Fabric, bar: ProgressBar
) -> Iterator[Tensor | InputError]:
    """For each batch of windows their embeddings, or why they could not be read."""
    waiting: list[Tensor] = []
    for batch in batches:
        if refused := read_error(batch):
            yield from _passed(network, waiting, fabric, bar)
            yield refused
            waiting = []
            continue
        windows = batch["windows"]
        held = sum(len(each) for each in waiting)
        full = held + len(windows) > BATCH or (held + len(windows)) * windows[0].numel() > NUMBERS
        if waiting and (full or windows.shape[1:] != waiting[0].shape[1:]):
            yield from _passed(network, waiting, fabric, bar)
            waiting = []
        waiting.append(windows)
    yield from _passed(network, waiting, fabric, bar)


def _passed(
    network: torch.nn.Module, waiting: list[Tensor], fabric: Fabric, bar: ProgressBar
) -> Iterator[Tensor | InputError]:
    """The embeddings of batches of windows that go through the tower together; an error for those that overflow."""
    if waiting:
        with torch.inference_mode(), fabric.autocast():
            embeddings = network(fabric.to_device(torch.cat(waiting))).float().cpu()
        bar.advance(len(embeddings))
        # Clones: tensors made in inference mode could not be trained on.
        parts = embeddings.split([len(each) for each in waiting])
        yield from (part.clone() if bool(part.isfinite().all()) else InputError(_OVERFLOW) for part in parts)


def _in_their_order(source: Source, parts: Sequence[Tensor | Exception], width: int) -> Tensor:
    """`(len(starts), width)` in the order of the source, of parts in the order of time."""
    joined = torch.cat([torch.empty(0, width), *(part for part in parts if isinstance(part, Tensor))])
    by_time = sorted(range(len(source.starts)), key=lambda place: source.starts[place])
    embeddings = torch.empty_like(joined)
    embeddings[by_time] = joined
    return embeddings
