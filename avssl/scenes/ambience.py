"""ambience: recordings of made-up places, in the shape of data sets of acoustic scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from avssl.data.atomic import sweep
from avssl.data.media import write_recording
from avssl.plugins import hint
from avssl.scenes.ambiences import AMBIENCES, describe
from avssl.scenes.rendering import rendered
from avssl.scenes.world import require
from avssl.scenes.world_folder import claim
from avssl.spatial.harmonics import channels

NAME = "ambience"
VERSION = 1
"""Of the world: raised whenever the same seed gives other recordings."""


@dataclass(frozen=True)
class Form:
    """All that the recordings depend on."""

    seed: int
    seconds: float
    order: int
    sample_rate: int
    """Hz."""

    def settings(self) -> dict[str, object]:
        """What tells this world from others."""
        return {"world": NAME, "version": VERSION, "layout": "eigenscape"} | asdict(self)

    def demands(self) -> Iterator[tuple[bool, str]]:
        """What is asked of the numbers: whether it is met, and what it is."""
        yield self.seed >= 0, f"seed is not negative, this is {self.seed}"
        yield 1 <= self.seconds <= 3600, f"seconds lie in 1..3600, not {self.seconds}"
        yield 1 <= self.order <= 7, f"order lies in 1..7, not {self.order}"
        yield 16000 <= self.sample_rate <= 192000, f"sample_rate lies in 16000..192000 Hz, not {self.sample_rate}"


@dataclass(frozen=True)
class Recording:
    """One recording to make."""

    out: Path
    form: Form
    label: str
    number: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.out}: recording {self.label}.{self.number}"

    @property
    def path(self) -> Path:
        """As EigenScape names it."""
        return self.out / self.label / f"{self.label}.{self.number}.wav"


def ambience(
    out: Path,
    *,
    recordings: int = 8,
    seconds: float = 60.0,
    seed: int = 0,
    order: int = 4,
    sample_rate: int = 48000,
    classes: Sequence[str] = (),
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Make recordings of places: EigenScape's tree, `{Class}/{Class}.{N}.wav`, ACN/SN3D, 24 bits.

    A recording depends on seed, class, number, length, order and rate alone, whatever else is made. What an earlier,
    interrupted run of the same world left in `out` is kept.

    Args:
        out: folder to write to; made if it is not there.
        recordings: of each class.
        seconds: length of a recording; EigenScape's have 600.
        seed: same seed, same world.
        order: of the ambisonics; 4 has 25 channels.
        sample_rate: Hz.
        classes: which of `AMBIENCES`; none: all.
        workers: processes; 1 makes them in this one, None takes one a core.
        progress: whether a bar shows how far it is.

    Returns:
        The folder.

    Raises:
        ValueError: a number that has no meaning, a class that is not known, or `out` holds something else.
        OSError: `out` cannot be written.
    """
    form = Form(seed, seconds, order, sample_rate)
    require(NAME, form.demands())
    require(NAME, _counts(recordings, workers))
    labels = _known(classes) or list(AMBIENCES)
    claim(out, NAME, form.settings(), AMBIENCES)
    for label in labels:
        (out / label).mkdir(exist_ok=True)
    jobs = [Recording(out, form, label, number + 1) for number in range(recordings) for label in labels]
    try:
        rendered(record, jobs, workers, progress, "recordings")
    finally:
        for label in labels:
            sweep(out / label)
    return out


def record(job: Recording) -> None:
    """Write a recording where it is missing, a few seconds at a time."""
    if job.path.is_file():
        return
    form = job.form
    place = describe(AMBIENCES, job.label, form.seed, job.number, form.seconds)
    blocks = place.blocks(form.seconds, form.sample_rate, form.order)
    write_recording(job.path, blocks, channels(form.order), form.sample_rate, form.seconds)


def _counts(recordings: int, workers: int | None) -> Iterator[tuple[bool, str]]:
    yield recordings >= 1, f"recordings is at least 1, not {recordings}"
    yield workers is None or workers >= 1, f"workers is at least 1, not {workers}"


def _known(classes: Sequence[str]) -> list[str]:
    for label in classes:
        if label not in AMBIENCES:
            known = ", ".join(AMBIENCES)
            raise ValueError(f"{NAME}: unknown class {label!r}{hint(label, AMBIENCES)}; one of {known}")
    return list(dict.fromkeys(classes))
