"""The finished runs among the folders that a report is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from avssl.errors import InputError, MissingFileError
from avssl.plugins import hint
from avssl.report.run_record import Run, all_settings, is_run, read_run
from avssl.runs.reader import CONFIG, METRICS


def read_runs(folders: Sequence[Path], ignored: Collection[str] = ()) -> tuple[list[Run], dict[Path, str]]:
    """Read run folders; one given twice is read once.

    Args:
        folders: with `config.yaml` and `metrics.json`, which are all that is read.
        ignored: settings in which the runs of a row may differ, beside the seed.

    Returns:
        The finished runs, and the folders that are left out with the reason.

    Raises:
        FileNotFoundError: there is no such folder.
        InputError: a file in it is broken, no run is left, or none has a setting of `ignored`.
    """
    found, left_out = [], {}
    distinct = list({each.resolve(): each for each in reversed(folders)}.values())[::-1]
    _check_settings(distinct, ignored)
    for folder in distinct:
        if not folder.exists():
            raise MissingFileError(f"{folder}: expected a run folder, there is nothing of this name")
        run = read_run(folder, ignored) if is_run(folder) else None
        if reason := _unfinished(run) if run else _no_run(folder):
            left_out[folder] = reason
        elif run:
            found.append(run)
    if not found:
        raise InputError("no finished run: " + "; ".join(f"{folder}: {reason}" for folder, reason in left_out.items()))
    return found, left_out


def _check_settings(folders: Iterable[Path], wanted: Iterable[str]) -> None:
    known = {key for folder in folders if is_run(folder) for key in all_settings(folder)} if wanted else set()
    for key in wanted:
        if key not in known:
            raise InputError(f"no run has the setting {key!r}{hint(key, known)}, in which rows may differ")


def _no_run(folder: Path) -> str:
    within = folder.is_dir() and any(folder.glob(f"*/{CONFIG}"))
    return f"no run folder (it holds some: give {folder}/*)" if within else f"no run folder (no {CONFIG})"


def _unfinished(run: Run) -> str:
    """Why the numbers of a run are not those of its whole length; empty if they are."""
    if not run.metrics:
        return f"unfinished (no numbers in {METRICS})"
    steps = run.metrics.get("steps", run.steps)
    if steps < run.steps:
        return f"unfinished ({steps:g} of {run.steps} steps)"
    for name in ("probed_steps", "tested_steps"):
        if run.metrics.get(name, steps) != steps:
            return f"measured after {run.metrics[name]:g} of {steps:g} steps (run it once more)"
    return ""
