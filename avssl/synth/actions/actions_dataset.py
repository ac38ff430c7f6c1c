"""Synthetic dataset `actions`: videos of motions, in the directory layout of UCF101 or HMDB51."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from avssl.config import check_choice
from avssl.config_fields import choice
from avssl.media import write_avi
from avssl.synth.actions.motions import MOTIONS
from avssl.synth.actions.performance import draw_clip, render_audio, render_frames
from avssl.synth.actions.split_files import SPLITS, TREES, Name
from avssl.synth.canvas.compositing import Canvas
from avssl.synth.dataset_base import SyntheticDataset, even_sides, rendering_function, require
from avssl.synth.intact_files import is_intact
from avssl.synth.output_folder import output_folder
from avssl.synth.rendering import rendered

NAME = "actions"
VERSION = 1
"""Version of the dataset: raised whenever a seed gives other content."""
SAMPLE_RATE = 24000
"""Sample rate of the clips with audio, Hz."""


@dataclass(frozen=True)
class Job:
    """One clip to render."""

    out: Path
    layout: str
    seed: int
    name: Name
    form: Canvas

    def __str__(self) -> str:
        return str(self.path)

    @property
    def path(self) -> Path:
        """Path of its file."""
        return self.out / TREES[self.layout].path(self.name)


@dataclass(frozen=True)
class ActionVideoOptions:
    """Options of `actions`."""

    layout: str = choice("ucf101", TREES)
    """Data set whose files and lists it imitates: ucf101 or hmdb51."""
    classes: int = 8
    """Kinds of motion: an even number up to 16, since motions come in pairs."""
    groups: int = 25
    """Groups of clips that share objects, background and sound, at least 3; no group is in two parts of a split."""
    clips: int = 4
    """Clips of each class in each group."""
    seconds: float = 3.0
    """Length of a clip in seconds, 0.25 to 600."""
    seed: int = 0
    """Random seed; a larger data set of the same seed has the clips of the smaller one."""
    width: int = 320
    """Columns of a frame, even."""
    height: int = 240
    """Rows of a frame, even."""
    frame_rate: float = 25.0
    """Frames per second, 1 to 120."""


class ActionVideos(SyntheticDataset):
    """Motions that no single frame tells apart: XviD AVI and the lists of three splits, as UCF101 or HMDB51 has them.

    Classes are the first of `avssl.synth.actions.motions.MOTIONS`. A group has the same objects, background and audio
    in all classes.
    """

    name: ClassVar[str] = NAME
    version: ClassVar[int] = VERSION
    Options: ClassVar[type] = ActionVideoOptions
    options: ActionVideoOptions

    def __init__(self, options: ActionVideoOptions) -> None:
        super().__init__(options)
        self.form = Canvas(options.seconds, options.width, options.frame_rate, SAMPLE_RATE, options.height)

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Constraints on the options."""
        options, form = self.options, self.form
        pairs, most = options.classes in range(2, len(MOTIONS) + 1, 2), len(MOTIONS)
        yield pairs, f"classes is an even number from 2 to {most}, since motions come in pairs, not {options.classes}"
        enough = options.groups >= len(SPLITS)
        yield enough, f"groups is at least {len(SPLITS)}, one for each split to test, not {options.groups}"
        yield options.clips >= 1, f"clips is at least 1, not {options.clips}"
        yield options.seed >= 0, f"seed is not negative, this is {options.seed}"
        yield 0.25 <= form.seconds <= 600, f"seconds is from 0.25 to 600, not {form.seconds}"
        yield 1 <= form.frame_rate <= 120, f"frame_rate is from 1 to 120, not {form.frame_rate}"
        yield from even_sides(form.width, form.height)

    def render(self, out: Path, *, workers: int | None = None, progress: bool = True) -> Path:
        """Render the clips and lists, and return the folder; see `SyntheticDataset.render`."""
        layout, seed = self.options.layout, self.options.seed
        check_choice(f"{NAME}: layout", layout, tuple(TREES))
        require(NAME, self.constraints())
        require(NAME, [(workers is None or workers >= 1, f"workers is at least 1, not {workers}")])
        tree, settings = TREES[layout], {"world": NAME, "version": VERSION, "layout": layout, "seed": seed}
        with output_folder(out, NAME, settings | asdict(self.form), tree.marks):
            names = self._names()
            jobs = [Job(out, layout, seed, name, self.form) for name in names]
            missing = [job for job in jobs if not is_intact(job.path)]
            rendered(render, missing, workers, progress, folders={job.path.parent for job in jobs})
            tree.write_lists(out, names)
        return out

    def _names(self) -> list[Name]:
        """Names of all clips, group by group, so that backgrounds are drawn once."""
        options, motions = self.options, [motion.name for motion in MOTIONS[: self.options.classes]]
        groups, numbers = range(1, options.groups + 1), range(1, options.clips + 1)
        return [Name(motion, group, number) for group in groups for motion in motions for number in numbers]


actions = rendering_function(ActionVideos)
"""Render `actions`; see `ActionVideoOptions`."""


def render(job: Job) -> None:
    """Write a clip's file."""
    motion = next(each for each in MOTIONS if each.name == job.name.motion)
    clip = draw_clip(job.seed, motion, job.name.group, job.name.number, job.form)
    frames, audio = render_frames(clip, job.form), render_audio(clip, job.form)
    write_avi(job.path, frames, job.form.frame_rate, audio, job.form.sample_rate)
