"""The folder of a run: what it was asked for, what it ran on, what came out."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from avssl.config import RunConfig, fill
from avssl.train.checkpoint import replacing
from avssl.train.outcome import CONFIG, METRICS, flat, read_config
from avssl.train.outcome import read_metrics as read_metrics

ENVIRONMENT = "environment.json"
FIGURES = "figures"
ENCODERS = "encoders"
MAY_CHANGE = (
    "train.steps", "train.log_every", "train.save_every", "train.show_every", "data.workers", "probe", "title",
    "published",
)  # fmt: skip


def check(folder: Path, config: RunConfig) -> None:
    """See that a run of this config may live in a folder; writes nothing.

    Length, intervals, workers, probe and title of a run may change when it is continued; keys that are newer than the
    folder have their defaults.

    Raises:
        ValueError: the path is no folder, or belongs to a run of another config; the message lists what differs.
        PermissionError: the folder could not be made or written.
    """
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise ValueError(f"{folder}: a run needs a folder, {'this' if there == folder else there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder}: a run needs a folder to write in, {there} is not writable")
    path = folder / CONFIG
    if not path.is_file():
        if any(folder.glob("*.ckpt")):
            raise ValueError(f"{folder}: holds a checkpoint but no {CONFIG}, so it is not a run folder")
        return
    before, now = flat(asdict(fill(RunConfig, read_config(folder), where=str(path)))), flat(asdict(config))
    different = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    refused = [key for key in different if not key.startswith(MAY_CHANGE)]
    if refused:
        changes = ", ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in refused)
        raise ValueError(f"{folder}: belongs to another run ({changes}); use another folder or the same config")


def begin(folder: Path, config: RunConfig, recipe: str = "", command: Sequence[str] = ()) -> None:
    """Write the resolved config, and add to `environment.json` what this start runs on.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / CONFIG) as part:
        part.write_text(OmegaConf.to_yaml(OmegaConf.create(asdict(config))), encoding="utf-8")
    path = folder / ENVIRONMENT
    _write_json(path, {"starts": [*_starts(path), environment(recipe, command)]})


def environment(recipe: str = "", command: Sequence[str] = ()) -> dict[str, Any]:
    """What a run depends on beside its config: command line, versions, commit, machine."""
    return {
        "command": shlex.join(command),
        "recipe": recipe,
        "commit": commit(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
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
    """Put numbers into the folder's `metrics.json`, beside those already there; returns all."""
    merged = {**read_metrics(folder), **{name: float(value) for name, value in metrics.items()}}
    _write_json(folder / METRICS, merged)
    return merged


def complete(folder: Path, steps: int) -> bool:
    """Whether the folder holds the encoders of a run of at least so many steps."""
    return read_metrics(folder).get("steps", 0) >= steps and (folder / ENCODERS / "config.json").is_file()


def _starts(path: Path) -> list[Any]:
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["starts"]) if path.is_file() else []
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected the starts of a run, as JSON: {error!r}") from error


def _versions() -> dict[str, str]:
    """Installed versions of avssl and of what it requires."""
    required = [re.split(r"[^\w.-]", each)[0] for each in metadata.requires("avssl") or [] if "extra ==" not in each]
    return {name: metadata.version(name) for name in ["avssl", *required]}


def _git(root: Path, *command: str) -> str:
    return subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, check=True).stdout.strip()


def _write_json(path: Path, content: Any) -> None:
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
