"""Hostile manifests, lists, encoder folders, checkpoints, recipes and HRIR files, through what reads them.

    python tests/fuzz/hostile.py manifest encoders --count 200 --seed 1

An input survives if the command ends within a minute and 2 GB, without traceback, with a documented exit code, and in
one line where it refuses. Nothing in the input is executed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from forked import Ended, run, warm_up
from hostile_values import Generator, change_leaf, change_line, hostile_value, write_code
from kill_commands import TRAIN, write_shared
from small_media import RATE, SECONDS
from tally import Tally, arguments, parsed, workplace

COLUMNS = ("split", "video", "audio", "start", "seconds", "frame_rate", "width", "height", "sample_rate", "key")
EMBED = ("--workers", 0, "--precision", "32-true")


class Inputs:
    """Hostile inputs of one kind, and the command that reads them.

    Args:
        shared: folder of good inputs, see `kill_commands.write_shared`.
    """

    codes = (0, 2)
    """Exit codes that count as survived."""

    def __init__(self, shared: Path) -> None:
        self.shared = shared

    def write(self, place: Path, rng: Generator) -> str:
        """Write an input below a folder; returns what was changed."""
        raise NotImplementedError

    def command(self, place: Path) -> tuple[object, ...]:
        """Command line that reads it."""
        raise NotImplementedError


class Manifest(Inputs):
    """Cells of a manifest: paths that lead out, times beyond the file, NaN, nested values; or its bytes."""

    codes = (0, 1, 2)

    def write(self, place: Path, rng: Generator) -> str:
        import pyarrow as pa
        import pyarrow.parquet as pq
        from damage import WAYS

        shutil.copytree(self.shared / "scenes", place / "data", copy_function=lambda a, b: Path(b).hardlink_to(a))
        path = place / "data" / "manifest.parquet"
        path.unlink()
        rows = pq.read_table(self.shared / "scenes" / path.name).to_pylist()[:4]
        title = []
        for _ in range(rng.integers(1, 4)):
            column = COLUMNS[rng.integers(len(COLUMNS))]
            row, value = int(rng.integers(len(rows))), hostile_value(rng, rows[0][column])
            for each in rows if rng.random() < 0.2 else rows[row : row + 1]:
                each[column] = value
            title.append(f"{column}={str(value)[:30]!r}")
        try:
            pq.write_table(pa.Table.from_pylist(rows), path)
        except (pa.ArrowException, OverflowError, UnicodeError):  # values of several kinds in one column
            column = {name: [str(each[name]) for each in rows] for name in rows[0]}
            pq.write_table(pa.table(column), path)
        if rng.random() < 0.2:
            way = WAYS[rng.integers(len(WAYS))]
            path.write_bytes(way(path.read_bytes(), rng))
            title = [way.__name__]
        return ", ".join(title)

    def command(self, place: Path) -> tuple[object, ...]:
        return "embed", place / "data", place / "out.parquet", "--encoders", self.shared / "encoders", *EMBED


class TrainingManifest(Manifest):
    """The same, through one step of pretraining."""

    codes = (0, 2)

    def command(self, place: Path) -> tuple[object, ...]:
        given = (*TRAIN, "train.steps=1", "data.workers=0", "probe.enabled=false", f"data.manifest={place}/data")
        return "pretrain", "--recipe", "avsa/small", *(p for s in given for p in ("--set", s)), "--out", place / "run"


class Lists(Inputs):
    """Lines of the lists of UCF101, through the head that classifies its clips."""

    def write(self, place: Path, rng: Generator) -> str:
        shutil.copytree(self.shared / "actions", place / "data")
        folder = place / "data" / "ucfTrainTestlist"
        lists = [*sorted(folder.glob("*01.txt")), folder / "classInd.txt"]
        path = lists[rng.integers(len(lists))]
        return f"{path.name}: {change_line(path, rng)}"

    def command(self, place: Path) -> tuple[object, ...]:
        return ("downstream", "action", "--encoders", self.shared / "encoders", "--data", place / "data",
                "--train-clips", 1, "--test-clips", 1, "--workers", 0, "--out", place / "out")  # fmt: skip


class SceneLists(Inputs):
    """Lines of the lists of TAU, through the head that classifies its scenes."""

    def write(self, place: Path, rng: Generator) -> str:
        shutil.copytree(self.shared / "tau", place / "data")
        lists = sorted((place / "data" / "evaluation_setup").glob("*.csv"))
        path = lists[rng.integers(len(lists))]
        return f"{path.name}: {change_line(path, rng)}"

    def command(self, place: Path) -> tuple[object, ...]:
        return ("downstream", "acoustic-scenes", "--encoders", self.shared / "encoders", "--data", place / "data",
                "--upmix", "true", "--workers", 0, "--out", place / "out")  # fmt: skip


class Encoders(Inputs):
    """Values of `config.json`, its bytes, and tensors of `model.safetensors` or the header that describes them."""

    codes = (0, 1, 2)

    def write(self, place: Path, rng: Generator) -> str:
        from damage import WAYS
        from hostile_values import change_json, change_tensors

        folder = shutil.copytree(self.shared / "encoders", place / "encoders")
        config, weights = folder / "config.json", folder / "model.safetensors"
        what = rng.integers(5)
        if what < 2:
            return f"config {change_json(config, rng)}"
        if what == 2:
            return change_tensors(weights, rng)
        path, way = (config if what == 3 else weights), WAYS[rng.integers(len(WAYS))]
        data = path.read_bytes()
        path.write_bytes(way(data, rng) if path == config else way(data[:4096], rng) + data[4096:])
        return f"{path.name} {way.__name__}"

    def command(self, place: Path) -> tuple[object, ...]:
        return "embed", self.shared / "one.wav", place / "out.parquet", "--encoders", place / "encoders", *EMBED


class Checkpoints(Inputs):
    """Values of `last.ckpt`, its bytes, and pickles that would run code."""

    def write(self, place: Path, rng: Generator) -> str:
        import torch
        from damage import WAYS

        path = shutil.copytree(self.shared / "run-0", place / "run") / "last.ckpt"
        what = rng.integers(4)
        if what == 0:
            return write_code(path, place / "executed")
        if what == 1:
            way = WAYS[rng.integers(len(WAYS))]
            path.write_bytes(way(path.read_bytes(), rng))
            return way.__name__
        state = torch.load(path, weights_only=True)
        title = change_leaf(state if what == 2 else state["run"], rng)
        torch.save(state, path)
        return title

    def command(self, place: Path) -> tuple[object, ...]:
        given = (*TRAIN, "train.steps=3", "train.seed=0", f"data.manifest={self.shared}/scenes")
        return "pretrain", "--recipe", "avsa/small", *(p for s in given for p in ("--set", s)), "--out", place / "run"


class Recipes(Inputs):
    """Values and bases of a recipe, aliases that grow, deep nesting, or its bytes."""

    def write(self, place: Path, rng: Generator) -> str:
        from damage import WAYS
        from hostile_values import change_yaml

        path = place / "mine.yaml"
        given = {"task": "avsa", "base": "avsa/small", "data": {"batch": 4}, "train": {"steps": 1}}
        title = change_yaml(path, given, rng)
        if rng.random() < 0.2:
            path.write_bytes(WAYS[rng.integers(len(WAYS))](path.read_bytes()[:10000], rng))
        return title

    def command(self, place: Path) -> tuple[object, ...]:
        given = (
            *TRAIN,
            "train.steps=1",
            "data.workers=0",
            "probe.enabled=false",
            f"data.manifest={self.shared}/scenes",
        )
        more = (part for each in given for part in ("--set", each))
        return "pretrain", "--recipe", place / "mine.yaml", *more, "--out", place / "run"


class Hrirs(Inputs):
    """Bytes and variables of a SOFA file."""

    def write(self, place: Path, rng: Generator) -> str:
        from damage import WAYS
        from hostile_values import write_sofa

        path = place / "head.sofa"
        title = write_sofa(path, rng)
        if rng.random() < 0.5:
            way = WAYS[rng.integers(len(WAYS))]
            path.write_bytes(way(path.read_bytes(), rng))
            title += f", {way.__name__}"
        return title

    def command(self, place: Path) -> tuple[object, ...]:
        return (
            "synth",
            "stage",
            place / "out",
            "--clips",
            1,
            "--seconds",
            0.5,
            "--hrirs",
            place / "head.sofa",
            "--workers",
            1,
        )


KINDS: dict[str, Callable[[Path], Inputs]] = {
    "manifest": Manifest, "training-manifest": TrainingManifest, "lists": Lists, "scene-lists": SceneLists,
    "encoders": Encoders, "checkpoint": Checkpoints, "recipe": Recipes, "sofa": Hrirs,
}  # fmt: skip


def attempt(inputs: Inputs, place: Path, rng: Generator) -> tuple[str, str, Ended]:
    """Write an input, run its command, and judge; returns what was changed, and the fault."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    title = inputs.write(place, rng)
    ended = run(("-q", *inputs.command(place)), place, environment={"AVSSL_CACHE": str(place / "cache")})
    fault = ended.fault(inputs.codes)
    if not fault and (place / "executed").exists():
        fault = "code of the file was executed"
    lines = [line for line in ended.text.splitlines() if line.startswith("Error")]
    if not fault and any(len(line) > 4000 for line in lines):
        fault = f"a line of {max(map(len, lines))} characters"
    return title, fault, ended


def write_inputs(shared: Path, names: list[str]) -> None:
    """Good inputs that are made hostile."""
    import soundfile

    needs = ["correspondence"] if "checkpoint" in names else []
    write_shared(shared, needs)
    soundfile.write(shared / "one.wav", np.random.default_rng(0).normal(0, 0.1, (round(SECONDS * RATE), 4)), RATE)
    rendered = {
        "lists": ("actions", "--layout", "ucf101", "--clips", 1, "--classes", 2, "--groups", 3, "--seconds", 0.5),
        "scene-lists": ("ambience", "--layout", "tau", "--recordings", 2, "--seconds", 1, "--sample-rate", 24000),
    }
    for name, (world, *more) in rendered.items():
        if name in names:
            out = shared / ("actions" if world == "actions" else "tau")
            ended = run(("synth", world, out, *more, "--workers", 1), shared, seconds=300)
            assert ended.code == 0, ended.text


def main() -> int:
    """Try and report."""
    options = parsed(arguments(__doc__.splitlines()[0], 30, tuple(KINDS)))
    warm_up()
    tally = Tally(options.keep)
    with workplace() as place:
        write_inputs(place / "shared", options.only)
        for name in options.only:
            inputs = KINDS[name](place / "shared")
            for number in range(options.first, options.first + options.count):
                rng = np.random.default_rng([options.seed, number])
                title, fault, ended = attempt(inputs, place / "trial", rng)
                tally.note(name, f"{number} {title}", fault)
                tally.measure(name, ended)
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
