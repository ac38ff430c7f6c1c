"""Run folder: resolved config, environment, metrics, encoders."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from avssl.config import RunConfig, fill
from avssl.errors import InputError, OutputError
from avssl.io.atomic import durably_replacing
from avssl.printable_text import printable
from avssl.regular_files import read_json
from avssl.runs.reader import CONFIG, FORMAT, METRICS, check_format, flat, read_config
from avssl.runs.reader import read_metrics as read_metrics

ENVIRONMENT = "environment.json"
FIGURES = "figures"
ENCODERS = "encoders"
TASK = "task.safetensors"
"""Weights of the task beside the encoders: projection heads, transformers."""
_WITHOUT_EFFECT = (
    "train.log_every", "train.save_every", "train.show_every", "data.workers", "data.decoded", "data.decoded_gb",
    "data.validation_seed", "probe", "title", "published", "train.compile", "train.deterministic",
)  # fmt: skip
"""Keys that do not change the weights, beyond rounding."""
MAY_CHANGE = ("train.steps", *_WITHOUT_EFFECT, *(f"first_stage.{each}" for each in _WITHOUT_EFFECT))


def check_place(folder: Path) -> None:
    """Check that a folder can be made or written to; writes nothing.

    Raises:
        InputError: the path is no folder.
        OutputError: the folder could not be made or written.
    """
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise InputError(f"{folder}: expected a folder for the run, {'this' if there == folder else there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: a run needs a folder to write in, {there} is not writable")


def check_config(folder: Path, config: RunConfig) -> None:
    """Check that a run of this config may use a folder; writes nothing.

    Length, intervals, workers, probe, validation seed and title of a run may change when it is continued; keys that
    are newer than the folder have their defaults.

    Raises:
        InputError: the folder belongs to a run of another config; the message lists what differs.
    """
    path = folder / CONFIG
    if not path.is_file():
        if any(folder.glob("*.ckpt")):
            raise InputError(f"{folder}: holds a checkpoint but no {CONFIG}, so it is not a run folder")
        return
    check_format(folder)
    check_same(folder, asdict(fill(RunConfig, read_config(folder), where=str(path))), asdict(config), MAY_CHANGE)


def check_same(
    folder: Path, before: Mapping[str, Any], now: Mapping[str, Any], may_change: tuple[str, ...] = ()
) -> None:
    """Check that the settings stored in a folder are those of the run that continues there.

    Args:
        folder: named in the error.
        before: stored settings, nested.
        now: requested settings, nested.
        may_change: prefixes of keys, as `a.b`, that may differ.

    Raises:
        InputError: other settings differ; the message lists them.
    """
    old, new = flat(before), flat(now)
    refused = [
        key
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and not key.startswith(may_change)
    ]
    if refused:
        changes = ", ".join(f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in refused)
        raise InputError(f"{folder}: belongs to another run ({changes}); use another folder or the same config")


def init_run_folder(folder: Path, config: RunConfig, recipe: str = "", command: Sequence[str] = ()) -> None:
    """Write the resolved config, and append the environment of this start to `environment.json`.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, asdict(config))
    add_environment(folder, recipe, command)


def add_environment(folder: Path, recipe: str = "", command: Sequence[str] = ()) -> None:
    """Append the environment of a start to `environment.json`.

    Raises:
        InputError: the file there is broken.
        OSError: it cannot be written.
    """
    path = folder / ENVIRONMENT
    _write_json(path, {"starts": [*_starts(path), environment(recipe, command)]})


def write_config(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write `config.yaml`: the format of the folder, then settings, nested.

    Raises:
        InputError: a setting is not UTF-8, such as the name of a folder; YAML has no other text.
        OSError: the file cannot be written.
    """
    try:
        content = OmegaConf.to_yaml(OmegaConf.create({"format": FORMAT, **settings}))
    except UnicodeEncodeError as error:
        got = f"got {printable(error.object)!r}; give it through a link with another name"
        raise InputError(f"{folder / CONFIG}: expected settings in UTF-8, {got}") from error
    with durably_replacing(folder / CONFIG) as part:
        part.write_text(content, encoding="utf-8")


def write_title(folder: Path, config: RunConfig) -> None:
    """Set title, published numbers and validation seed of a finished run to those of `config`."""
    before = fill(RunConfig, read_config(folder), where=str(folder / CONFIG))
    data = replace(before.data, validation_seed=config.data.validation_seed)
    now = replace(before, title=config.title, published=config.published, data=data)
    if now != before:
        write_config(folder, asdict(now))


def environment(recipe: str = "", command: Sequence[str] = ()) -> dict[str, Any]:
    """Environment of a run: command line, package versions, commit, machine, and the precision that `auto` is there."""
    from avssl.io.arithmetic import device_name, resolve_precision  # torch, which a report does not need

    return {
        "command": shlex.join(command),
        "recipe": recipe,
        "commit": commit(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "device": device_name(),
        "auto_precision": resolve_precision("auto"),
        "packages": _versions(),
    }


def commit() -> str:
    """The commit of the checkout that avssl runs from, `+` added if it was changed since; empty without one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def add_metrics(folder: Path, metrics: Mapping[str, float]) -> dict[str, float]:
    """Merge numbers into `metrics.json`; returns all of them."""
    merged = {**read_metrics(folder), **{name: float(value) for name, value in metrics.items()}}
    _write_json(folder / METRICS, merged)
    return merged


def complete(folder: Path, steps: int) -> bool:
    """Whether the folder holds the encoders of a run of at least so many steps."""
    return read_metrics(folder).get("steps", 0) >= steps and (folder / ENCODERS / "config.json").is_file()


def _starts(path: Path) -> list[Any]:
    if not path.exists():
        return []
    found = read_json(path, "a JSON list of starts")
    try:
        return list(found["starts"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a JSON list of starts, got {error!r}") from error


def _versions() -> dict[str, str]:
    """Installed versions of avssl and of its requirements."""
    required = [re.split(r"[^\w.-]", each)[0] for each in metadata.requires("avssl") or [] if "extra ==" not in each]
    return {name: metadata.version(name) for name in ["avssl", *required]}


def _git(root: Path, *command: str) -> str:
    return subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, check=True).stdout.strip()


def _write_json(path: Path, content: Any) -> None:
    with durably_replacing(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
