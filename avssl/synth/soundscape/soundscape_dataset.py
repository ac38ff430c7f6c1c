"""Synthetic dataset `ambience`: soundscape recordings in the directory layout of acoustic-scene data sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from avssl.config import check_choice
from avssl.config_fields import choice
from avssl.io.atomic import write_text
from avssl.synth.dataset_base import SyntheticDataset, rendering_function, require
from avssl.synth.intact_files import is_intact
from avssl.synth.output_folder import output_folder
from avssl.synth.rendering import rendered
from avssl.synth.soundscape.eigenscape_export import EigenScape, Tree
from avssl.synth.soundscape.tau_export import Tau

NAME = "ambience"
VERSION = 1
"""Version of the dataset: raised whenever a seed gives other content."""
TREES: dict[str, type[Tree]] = {"eigenscape": EigenScape, "tau": Tau}
SECONDS = {"eigenscape": 60.0, "tau": 10.0}
"""Default length of a recording, s; EigenScape's have 600 s."""


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
        """Paths of all its files."""
        return [self.out / name for name in self.tree.files(self.label, self.number)]


@dataclass(frozen=True)
class AmbienceOptions:
    """Options of `ambience`."""

    layout: str = choice("eigenscape", TREES)
    """Data set whose files it imitates: eigenscape (`{Class}/{Class}.{N}.wav`, ambisonics), or tau (binaural clips with
    video, and one fold)."""
    recordings: int = 8
    """Recordings of each class, up to 999; of tau: places, at least 2, with two clips each."""
    seconds: float | None = None
    """Length of a file in seconds, 1 to 3600; not given: 60, and 10 of tau."""
    seed: int = 0
    """Random seed; a recording depends on it, its class, number, length, order and sample rate alone."""
    order: int = 4
    """Ambisonic order of eigenscape, 1 to 7; 4 has 25 channels. tau is binaural whatever the order."""
    sample_rate: int = 48000
    """Audio sample rate in Hz, 16000 to 192000."""
    classes: list[str] = field(default_factory=list)
    """Classes of the layout; empty: all."""


class Ambience(SyntheticDataset):
    """Soundscapes that differ in their sources, motion and reverberation, in the layout of EigenScape or TAU."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = VERSION
    Options: ClassVar[type] = AmbienceOptions
    options: AmbienceOptions

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Constraints of the layout, and the number of recordings."""
        tree = self._tree()
        yield from tree.constraints()
        recordings = self.options.recordings
        yield tree.least <= recordings <= 999, f"recordings lie in {tree.least}..999, not {recordings}"

    def render(self, out: Path, *, workers: int | None = None, progress: bool = True) -> Path:
        """Render the recordings, 24 bits, and return the folder; see `SyntheticDataset.render`."""
        tree, labels = self._tree(), self._labels()
        require(NAME, self.constraints())
        require(NAME, [(workers is None or workers >= 1, f"workers is at least 1, not {workers}")])
        numbers = range(1, self.options.recordings + 1)
        jobs = [Job(out, tree, label, number) for number in numbers for label in labels]
        folders = {path.parent for job in jobs for path in job.paths}
        with output_folder(out, NAME, {"world": NAME, "version": VERSION} | tree.settings(), tree.marks):
            missing = [job for job in jobs if not all(map(is_intact, job.paths))]
            rendered(_record, missing, workers, progress, "recordings", folders)
            for name, text in tree.lists(labels, self.options.recordings).items():
                (out / name).parent.mkdir(exist_ok=True)
                write_text(out / name, text)
        return out

    def _tree(self) -> Tree:
        options = self.options
        check_choice(f"{NAME}: layout", options.layout, list(TREES))
        seconds = SECONDS[options.layout] if options.seconds is None else options.seconds
        return TREES[options.layout](options.seed, seconds, options.order, options.sample_rate)

    def _labels(self) -> list[str]:
        """Classes to render, in the order of the layout."""
        classes, known = self.options.classes, self._tree().class_samplers
        for label in classes:
            check_choice(f"{NAME}: a class of {self.options.layout}", label, list(known))
        return [label for label in known if not classes or label in classes]


ambience = rendering_function(Ambience)
"""Render `ambience`; see `AmbienceOptions`."""


def _record(job: Job) -> None:
    job.tree.record(job.out, job.label, job.number)
