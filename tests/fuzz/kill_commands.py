"""The commands that write, each small enough to be killed often, with what must be equal afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from corrupt_commands import HEAD_SETTINGS, write_encoders
from folders import checkpoint, nothing, steady_json
from forked import run
from small_media import VIDEO, write_samples

Reader = Callable[[Path], bytes]
READERS: dict[str, Reader] = {
    r"metrics\.json$": steady_json,
    r"report\.json$": steady_json,
    r"\.ckpt$": checkpoint,
    r"tfevents|environment\.json$|prepared\.jsonl$|\.jsonl$": nothing,
}
"""Pattern of a path -> what is compared of a file that is not compared byte by byte."""
SCENES = ("--clips", 12, "--seconds", 1.25, "--width", 128, "--seed", 0)
TRAIN = (
    "data.batch=4", "data.seconds=0.5", "data.workers=1", "options.crops=2", "options.size=32", "train.log_every=4",
    "train.save_every=3", "train.show_every=6", "train.precision=32-true", "probe.epochs=1", "probe.bootstrap=100",
    "probe.workers=0", "optim.warmup=0",
)  # fmt: skip
"""Settings of a short pretraining run."""


@dataclass(frozen=True)
class Killable:
    """A command that writes into `out` of a folder.

    Attributes:
        arguments: of the command line, from the folder of a trial and the shared one.
        ready: fills the folder of a trial before its first start.
        other: options of a second command that must not share the folder, or whose output is another.
    """

    name: str
    arguments: Callable[[Path, Path], tuple[object, ...]]
    ready: Callable[[Path, Path], object] = lambda trial, shared: None
    other: tuple[object, ...] = ("--set", "train.seed=1")


def _set(*settings: str) -> tuple[str, ...]:
    return tuple(part for each in settings for part in ("--set", each))


def _pretrain(trial: Path, shared: Path) -> tuple[object, ...]:
    more = _set(*TRAIN, "train.steps=14", f"data.manifest={shared}/scenes")
    return "pretrain", "--recipe", "avsa/small", *more, "--out", trial / "out"


def _spatialize(trial: Path, shared: Path) -> tuple[object, ...]:
    more = _set(*HEAD_SETTINGS, "train.steps=8", "train.save_every=2", "train.log_every=2", "workers=1")
    head = ("downstream", "spatialize", "--recipe", "spatialize/foa360-pointing-plain", "--data", shared / "scenes")
    return *head, *more, "--out", trial / "out"


def _eigenscape(trial: Path, shared: Path) -> tuple[object, ...]:
    more = _set("segment=1", "window=0.5", "hop=0.5", "rotations=2", "baselines=[]", "workers=1", "mode=finetune",
                "epochs=1", "draws=1", "batch=8", "optim.warmup=0")  # fmt: skip
    head = ("downstream", "eigenscape", "--encoders", shared / "encoders", "--data", shared / "soundscapes")
    return *head, *more, "--out", trial / "out"


def _ready_report(trial: Path, shared: Path) -> None:
    (trial / "out").mkdir()
    (trial / "out" / "RESULTS.md").write_text("# Results\n<!-- avssl report -->\n<!-- end of report -->\nend\n")


def _ready_out(trial: Path, shared: Path) -> None:
    (trial / "out").mkdir()


COMMANDS = {
    each.name: each
    for each in (
        Killable("synth", lambda trial, shared: ("synth", "synth360", trial / "out", *SCENES, "--workers", 1),
                 other=("--seed", 1)),
        Killable("prepare", lambda trial, shared: (
            "prepare", shared / "recordings", trial / "out", "--layout", "files", "--workers", 2, "--height", 64),
            other=("--height", 96)),
        Killable("detect", lambda trial, shared: (
            "detect", trial / "out", "--model", "truth", "--rate", 8),
            lambda trial, shared: shutil.copytree(shared / "scenes", trial / "out"), ("--rate", 4)),
        Killable("embed", lambda trial, shared: (
            "embed", shared / "recordings", trial / "out" / "e.parquet", "--encoders", shared / "encoders",
            "--workers", 1, "--precision", "32-true", "--hop", 0.05, "--seconds", 0.25),
            _ready_out, ("--hop", 0.1)),
        Killable("report", lambda trial, shared: (
            "report", shared / "run-0", shared / "run-1", "--out", trial / "out", "--into",
            trial / "out" / "RESULTS.md"), _ready_report, ("--same", "train.steps")),
        Killable("pretrain", _pretrain),
        Killable("spatialize", _spatialize),
        Killable("eigenscape", _eigenscape, other=("--set", "seed=1")),
        Killable("correspondence", lambda trial, shared: (
            "downstream", "correspondence", "--encoders", shared / "run-0", "--data", shared / "scenes", "--out",
            trial / "out", *_set("epochs=2", "bootstrap=100", "workers=1")),
            other=("--set", "seed=1")),
        Killable("energy", lambda trial, shared: (
            "energy-overlay", shared / "long.mp4", trial / "out" / "made.mp4", "--height", 128),
            _ready_out, ("--height", 64)),
        Killable("train-detector", lambda trial, shared: (
            "train-detector", shared / "scenes", trial / "out", "--side", 32, "--panoramas", 8, "--held-out", 4,
            "--epochs", 2, "--batch", 4), other=("--seed", 1)),
    )
}  # fmt: skip
"""By name."""


def write_shared(shared: Path, names: list[str]) -> None:
    """What the commands read: recordings, scenes, encoders, finished runs, soundscapes, a film of 8 s."""
    (shared / "samples").mkdir(parents=True)
    write_samples(shared / "samples")
    (shared / "recordings").mkdir()
    for number, kind in enumerate(VIDEO):
        shutil.copy(shared / "samples" / kind, shared / "recordings" / f"{number}-{kind}")
    write_encoders(shared / "encoders")
    _write(shared, "synth", "synth360", shared / "scenes", *SCENES, "--workers", 1)
    if "energy" in names:
        _write_long(shared)
    if "eigenscape" in names:
        _write(shared, "synth", "ambience", shared / "soundscapes", "--recordings", 4, "--seconds", 1, "--order", 1,
               "--sample-rate", 24000, "--workers", 1)  # fmt: skip
    for seed in range(2) if {"report", "correspondence"} & set(names) else ():
        more = _set(*TRAIN, "train.steps=2", f"train.seed={seed}", f"data.manifest={shared}/scenes")
        _write(shared, "pretrain", "--recipe", "avsa/small", *more, "--out", shared / f"run-{seed}")


def _write(shared: Path, *arguments: object) -> None:
    ended = run(arguments, shared, environment={"AVSSL_CACHE": str(shared / "cache")}, seconds=600)
    assert ended.code == 0, ended.text


def _write_long(shared: Path) -> None:
    """Ten times the frames and the sound of a sample."""
    import small_media

    frames, seconds = small_media.image, small_media.SECONDS
    small_media.SECONDS = 8.0
    small_media.image = lambda number: frames(number % 12)
    try:
        small_media.film(shared / "long.mp4", "libx264", "aac")
    finally:
        small_media.image, small_media.SECONDS = frames, seconds
