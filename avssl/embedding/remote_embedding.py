"""Embed the windows of files where the jobs of commands are done, such as on a Ray cluster: a source a job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from avssl.data.clip_options import Reading
from avssl.data.window_reader import Source
from avssl.embedding.batch_inference import OnError, embed, tower_of
from avssl.errors import is_input_error
from avssl.io.process_pool import outcomes
from avssl.io.progress import ProgressBar
from avssl.models.embedder import Embedder


@dataclass(frozen=True)
class SourceEmbedding:
    """Source -> float32 `(len(starts), width)`, as `embed` computes it."""

    embedder: Embedder
    reading: Reading
    precision: str
    wants_gpu: ClassVar[bool] = True

    def __call__(self, source: Source) -> Tensor:
        """Embed.

        Raises:
            InputError: the file is broken.
            FileNotFoundError: it is gone.
        """
        found = embed(self.embedder, [source], self.reading, precision=self.precision, workers=0, progress=False)
        return next(found)[1]


def embed_remotely(
    embedder: Embedder, sources: Sequence[Source], reading: Reading, *, precision: str, on_error: OnError | None
) -> Iterator[tuple[Source, Tensor]]:
    """Embeddings of the windows of files, in any order; see `embed`.

    Args:
        embedder: pickled, and sent to each process once.
        sources: files that every process sees, and their windows.
        reading: how windows are read.
        precision: see `resolve_precision`.
        on_error: called with each source that cannot be read and its error; None: the first error is raised.

    Yields:
        Each source that can be read with float32 `(len(starts), width)` on the CPU.

    Raises:
        InputError: see `embed`.
    """
    work = SourceEmbedding(embedder, reading, precision)
    windows = sum(len(source.starts) for source in sources)
    with (
        ProgressBar(f"embed {tower_of(embedder)}", windows, "windows") as bar,
        closing(outcomes(work, sources, len(sources))) as results,
    ):
        for source, outcome in results:
            bar.advance(len(source.starts))
            if not isinstance(outcome, BaseException):
                yield source, outcome
            elif on_error is None or not isinstance(outcome, Exception) or not is_input_error(outcome):
                raise outcome
            else:
                on_error(source, outcome)
