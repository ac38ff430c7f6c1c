"""actions: made-up videos of motions, in the shape of a data set of human actions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from avssl.config import check_choice
from avssl.media import write_avi
from avssl.synth.actions.motions import MOTIONS
from avssl.synth.actions.performance import draw_clip, render_audio, render_frames
from avssl.synth.actions.split_files import SPLITS, TREES, Name
from avssl.synth.canvas.compositing import Canvas
from avssl.synth.dataset_base import even_sides, require
from avssl.synth.output_folder import init_output_folder
from avssl.synth.rendering import rendered

NAME = "actions"
VERSION = 1
"""Of the world: raised whenever the same seed gives another clip."""
SAMPLE_RATE = 24000
"""Hz, of the clips that have sound."""


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
        """Of its file."""
        return self.out / TREES[self.layout].path(self.name)


def actions(
    out: Path,
    layout: str = "ucf101",
    *,
    classes: int = 8,
    groups: int = 25,
    clips: int = 4,
    seconds: float = 3.0,
    seed: int = 0,
    width: int = 320,
    height: int = 240,
    frame_rate: float = 25.0,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Render a made-up data set of actions: XviD AVI, some with sound, and the lists of three splits.

    Its classes are `avssl.synth.actions.motions.MOTIONS`, from the first on. Objects, backgrounds and sound
    belong to the group, the same in all classes; a group is in one split only. What an earlier, interrupted run of
    the same world left in `out` is kept, and a larger world of the same seed has the clips of the smaller one.

    Args:
        out: folder to write to; made if it is not there.
        layout: whose tree it is, `ucf101` or `hmdb51`.
        classes: an even number, since motions come in pairs, up to 16.
        groups: at least 3; UCF101 has 25.
        clips: of each class in a group.
        seconds: length of a clip.
        seed: same seed, same world.
        width: columns of a frame, even.
        height: rows of a frame, even.
        frame_rate: frames a second.
        workers: processes; 1 renders in this one, None takes one a core.
        progress: whether a bar shows how far it is.

    Returns:
        `out`.

    Raises:
        InputError: a number that has no meaning, no such layout, or `out` holds something else.
        OSError: `out` cannot be written.
    """
    form = Canvas(seconds, width, frame_rate, SAMPLE_RATE, height)
    check_choice(f"{NAME}: layout", layout, tuple(TREES))
    require(NAME, _demands(classes, groups, clips, seed, form, workers))
    tree, settings = TREES[layout], {"world": NAME, "version": VERSION, "layout": layout, "seed": seed}
    init_output_folder(out, NAME, settings | asdict(form), tree.marks)
    motions = [motion.name for motion in MOTIONS[:classes]]
    # Group by group, so that backgrounds are drawn once.
    names = [
        Name(motion, group, number)
        for group in range(1, groups + 1)
        for motion in motions
        for number in range(1, clips + 1)
    ]
    jobs = [Job(out, layout, seed, name, form) for name in names]
    missing = [job for job in jobs if not job.path.is_file()]
    rendered(render, missing, workers, progress, folders={job.path.parent for job in jobs})
    tree.write_lists(out, names)
    return out


def render(job: Job) -> None:
    """Write a clip's file."""
    motion = next(each for each in MOTIONS if each.name == job.name.motion)
    clip = draw_clip(job.seed, motion, job.name.group, job.name.number, job.form)
    frames, audio = render_frames(clip, job.form), render_audio(clip, job.form)
    write_avi(job.path, frames, job.form.frame_rate, audio, job.form.sample_rate)


def _demands(
    classes: int, groups: int, clips: int, seed: int, form: Canvas, workers: int | None
) -> Iterator[tuple[bool, str]]:
    pairs = classes in range(2, len(MOTIONS) + 1, 2)
    yield pairs, f"classes is an even number from 2 to {len(MOTIONS)}, since motions come in pairs, not {classes}"
    yield groups >= len(SPLITS), f"groups is at least {len(SPLITS)}, one for each split to test, not {groups}"
    yield clips >= 1, f"clips is at least 1, not {clips}"
    yield seed >= 0, f"seed is not negative, this is {seed}"
    yield 0.25 <= form.seconds <= 600, f"seconds is from 0.25 to 600, not {form.seconds}"
    yield 1 <= form.frame_rate <= 120, f"frame_rate is from 1 to 120, not {form.frame_rate}"
    yield from even_sides(form.width, form.height)
    yield workers is None or workers >= 1, f"workers is at least 1, not {workers}"
