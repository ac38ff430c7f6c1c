"""Commands on a disk that fills up, with a limit on file sizes, or with little memory: one line, nothing half-written.

    python tests/fuzz/limits.py full-disk memory --count 20 --seed 1

A trial runs a command of `kill.py` under a limit at a random size. It survives if the command ends as documented, with
one line and no traceback, and if the same command without the limit, in the same folder, then ends with the files of an
unlimited run. The full disk is a tmpfs in a mount namespace of its own (`unshare`); where that is not allowed, it is
left out.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from folders import Digest, difference, leftovers
from forked import Ended, Running, warm_up
from kill import finished, make_ready, result
from kill_commands import COMMANDS, Killable, write_shared
from tally import Tally, arguments, parsed, workplace

KINDS = ("full-disk", "file-size", "memory")
INSIDE = "AVSSL_FUZZ_NAMESPACE"
"""Set in the process that runs in its own mount namespace."""
NAMES = [name for name in COMMANDS if name != "detect"]


def in_namespace() -> str:
    """Why no tmpfs can be mounted here; empty if it can. Starts the script again in a mount namespace of its own."""
    if os.environ.get(INSIDE):
        return ""
    command = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare"):
        return "no program `unshare`"
    tried = subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True)
    if tried.returncode:
        return tried.stderr.strip() or "mounting is not allowed"
    os.environ[INSIDE] = "1"
    return os.execvp(command[0], [*command, sys.executable, *sys.argv])


def bytes_below(folder: Path) -> int:
    """Size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def largest_below(folder: Path) -> int:
    """Size of the largest file below a folder."""
    return max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)


class Limit:
    """A limit at a random place between nothing and what an unlimited run needs."""

    def __init__(self, trial: Path, shared: Path, size: int, most: int) -> None:
        self.trial, self.shared, self.size, self.most = trial, shared, size, most

    def run(self, command: Killable, rng: np.random.Generator) -> tuple[str, Ended]:
        """Run under the limit; returns its size and the outcome."""
        raise NotImplementedError

    def start(self, command: Killable, before: Callable[[], object]) -> Ended:
        """Run with the log outside the trial, after a function in the new process."""
        log = self.trial.parents[1] / "output.txt"
        log.unlink(missing_ok=True)
        environment = {"AVSSL_CACHE": str(self.trial / "cache")}
        return Running(command.arguments(self.trial, self.shared), log, environment, before).wait()


class FullDisk(Limit):
    """The folder of the trial is a tmpfs; it is filled from the beginning by all but a random rest."""

    def run(self, command: Killable, rng: np.random.Generator) -> tuple[str, Ended]:
        rest = int(rng.uniform(0.02, 1.1) * self.size)
        free = shutil.disk_usage(self.trial).free
        filler = self.trial.with_name("filler")
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free - rest))
        ended = self.start(command, lambda: None)
        filler.unlink()
        return f"{rest} bytes free", ended


class FileSize(Limit):
    """RLIMIT_FSIZE; the log is a file too, so the limit is not below 4 KB."""

    def run(self, command: Killable, rng: np.random.Generator) -> tuple[str, Ended]:
        size = max(4096, int(rng.uniform(0.01, 1.05) * self.most))
        return f"{size} bytes a file", self.start(
            command, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        )


class Memory(Limit):
    """RLIMIT_AS: what the process has at its start, and a little more."""

    def run(self, command: Killable, rng: np.random.Generator) -> tuple[str, Ended]:
        more = int(2 ** rng.uniform(16, 29))

        def little() -> None:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            size = pages * resource.getpagesize() + more
            resource.setrlimit(resource.RLIMIT_AS, (size, size))

        return f"{more >> 10} KB more", self.start(command, little)


LIMITS = {"full-disk": FullDisk, "file-size": FileSize, "memory": Memory}


def attempt(
    kind: str, command: Killable, place: Path, wanted: Digest, sizes: tuple[int, int], rng: np.random.Generator
) -> tuple[str, str, Ended]:
    """Run under a limit, then without; returns the limit, the fault, and the limited command."""
    trial, shared = place / "tmpfs" / "trial", place / "shared"
    make_ready(command, trial, shared)
    title, ended = LIMITS[kind](trial, shared, *sizes).run(command, rng)
    fault = ended.fault((0, 1, 2)) or (
        f"exit code 1: {ended.text[-200:]}" if ended.code == 1 and command.name not in ("prepare", "embed") else ""
    )
    left = leftovers(trial / "out")
    fault = fault or (f"left over: {', '.join(left[:4])}" if left else "")
    fault = fault or finished(command, trial, shared) or difference(wanted, result(trial))
    return title, fault, ended


def main() -> int:
    """Try and report."""
    parser = arguments(__doc__.splitlines()[0], 10, KINDS)
    parser.add_argument("--commands", default=",".join(NAMES), help=f"of {', '.join(COMMANDS)}, comma-separated")
    options = parsed(parser)
    refused = in_namespace() if "full-disk" in options.only else ""
    if refused:
        print(f"full-disk: left out, {refused}")
        options.only.remove("full-disk")
    warm_up()
    tally, names = Tally(options.keep), options.commands.split(",")
    with workplace() as place:
        write_shared(place / "shared", names)
        (place / "tmpfs").mkdir()
        if os.environ.get(INSIDE):
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", place / "tmpfs"], check=True)
        for name in names:
            command, trial = COMMANDS[name], place / "tmpfs" / "trial"
            make_ready(command, trial, place / "shared")
            assert finished(command, trial, place / "shared") == "", (trial / "output.txt").read_text()
            wanted = result(trial)
            sizes = (max(4096, bytes_below(trial)), max(4096, largest_below(trial)))
            for kind in options.only:
                for number in range(options.first, options.first + options.count):
                    rng = np.random.default_rng([options.seed, number])
                    title, fault, ended = attempt(kind, command, place, wanted, sizes, rng)
                    tally.note(f"{kind} {name}", f"{number} ({title})", fault)
                    tally.measure(f"{kind} {name}", ended)
        if os.environ.get(INSIDE):
            subprocess.run(["umount", place / "tmpfs"], check=False)
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
