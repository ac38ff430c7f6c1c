"""Time until something happens: the command's help, the imports of training, the first training step."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from avssl.bench.case import Quantity, Row, Size, left_out
from avssl.synth.synth360 import Synth360

COMMANDS = {
    "avssl --help": ["-c", "from avssl.cli import main; main()", "--help"],
    "import avssl.train.pretrain": ["-c", "import avssl.train.pretrain"],
}


def rows(size: Size, folder: Path) -> list[Row]:
    """Seconds from the start of a process; files are in the page cache."""
    if not size.processes:
        return [left_out("startup")]
    clips = min(size.scenes, 32)
    options = Synth360.Options(clips=clips, seconds=1.6)
    manifest = Synth360(options).render(folder / "scenes", progress=False)
    commands = COMMANDS | {"first step of avsa/small": ["-m", "avssl.bench.first_step", str(manifest), str(clips)]}
    return [
        Quantity("startup", _timed(name, arguments), "s", f"{name}, in a new process", 5)
        for name, arguments in commands.items()
    ]


def _timed(name: str, arguments: list[str]) -> Callable[[], dict[str, float]]:
    return partial(_seconds, name, [sys.executable, *arguments])


def _seconds(name: str, command: list[str]) -> dict[str, float]:
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return {name: time.perf_counter() - begin}
