"""ambience: recordings of made-up places, in the shape of data sets of acoustic scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from avssl.config import check_choice
from avssl.io.atomic import write_text
from avssl.synth.dataset_base import require
from avssl.synth.output_folder import init_output_folder
from avssl.synth.rendering import rendered
from avssl.synth.soundscape.eigenscape_export import EigenScape, Tree
from avssl.synth.soundscape.tau_export import Tau

NAME = "ambience"
VERSION = 1
"""Of the world: raised whenever the same seed gives other recordings."""
TREES: dict[str, type[Tree]] = {"eigenscape": EigenScape, "tau": Tau}
SECONDS = {"eigenscape": 60.0, "tau": 10.0}
"""Of a recording unless said otherwise; EigenScape's have 600."""


@dataclass(frozen=True)
class Job:
    """One place to record."""

    out: Path
    tree: Tree
    label: str
    number: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.out}: recording {self.number} of {self.label}"

    @property
    def paths(self) -> list[Path]:
        """Of all its files."""
        return [self.out / name for name in self.tree.files(self.label, self.number)]


def ambience(
    out: Path,
    layout: str = "eigenscape",
    *,
    recordings: int = 8,
    seconds: float | None = None,
    seed: int = 0,
    order: int = 4,
    sample_rate: int = 48000,
    classes: Sequence[str] = (),
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Make recordings of made-up places, 24 bits: EigenScape's eight classes, or TAU's ten with pictures.

    A recording depends on seed, class, number, length, order and rate alone, whatever else is made. What an earlier,
    interrupted run of the same world left in `out` is kept.

    Args:
        out: folder to write to; made if it is not there.
        layout: `eigenscape`: `{Class}/{Class}.{N}.wav`, ACN/SN3D; or `tau`: clips for two ears with video, and a fold.
        recordings: of each class; of `tau`: places, each with two clips.
        seconds: length of a file; None: 60, and 10 of `tau`.
        seed: same seed, same world.
        order: of the ambisonics; 4 has 25 channels. `tau` has two ears, whatever is said.
        sample_rate: Hz.
        classes: which of the layout's; none: all.
        workers: processes; 1 makes them in this one, None takes one a core.
        progress: whether a bar shows how far it is.

    Returns:
        The folder.

    Raises:
        InputError: a number that has no meaning, a layout or class that is not known, or `out` holds something else.
        OSError: `out` cannot be written.
    """
    check_choice(f"{NAME}: layout", layout, list(TREES))
    tree = TREES[layout](seed, SECONDS[layout] if seconds is None else seconds, order, sample_rate)
    require(NAME, tree.constraints())
    require(NAME, _counts(recordings, tree.least, workers))
    for label in classes:
        check_choice(f"{NAME}: a class of {layout}", label, list(tree.class_samplers))
    labels = [label for label in tree.class_samplers if not classes or label in classes]
    init_output_folder(out, NAME, {"world": NAME, "version": VERSION} | tree.settings(), tree.marks)
    jobs = [Job(out, tree, label, number) for number in range(1, recordings + 1) for label in labels]
    missing = [job for job in jobs if not all(path.is_file() for path in job.paths)]
    folders = {path.parent for job in jobs for path in job.paths}
    rendered(_record, missing, workers, progress, "recordings", folders)
    for name, text in tree.lists(labels, recordings).items():
        (out / name).parent.mkdir(exist_ok=True)
        write_text(out / name, text)
    return out


def _record(job: Job) -> None:
    job.tree.record(job.out, job.label, job.number)


def _counts(recordings: int, least: int, workers: int | None) -> Iterator[tuple[bool, str]]:
    yield least <= recordings <= 999, f"recordings lie in {least}..999, not {recordings}"
    yield workers is None or workers >= 1, f"workers is at least 1, not {workers}"
