"""Contents of folders: digests, comparison, and what must not be left in them."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

LEFT = re.compile(r"^\.|\.part|\.tmp$|~$|^core(\.\d+)?$")
"""Names of hidden and temporary files."""
VOLATILE = re.compile(r"^(seconds|data_wait|wait_share|done|skipped)$|_seconds$|_per_second$|memory")
"""Keys of numbers that depend on the machine's speed, or on how often a command was started."""
Digest = dict[str, str]


def leftovers(folder: Path) -> list[str]:
    """Paths below a folder that a command should have removed."""
    return sorted(name for name in _names(folder) if LEFT.search(Path(name).name))


def left_beside(folder: Path, allowed: Iterable[str]) -> str:
    """A fault if a folder has temporary files, or others than those allowed."""
    found = leftovers(folder) or sorted({name.split("/")[0] for name in _names(folder)} - set(allowed))
    return f"left over: {', '.join(found[:5])}" if found else ""


def digest(folder: Path, readers: dict[str, Callable[[Path], bytes]] | None = None) -> Digest:
    """Path -> hash of the content, of all files below a folder.

    Args:
        folder: of the files.
        readers: pattern of a path -> the content to compare; one that returns nothing leaves the file out.
    """
    found: Digest = {}
    for name in _names(folder):
        path = folder / name
        if path.is_dir():
            continue
        reader = next((each for pattern, each in (readers or {}).items() if re.search(pattern, name)), Path.read_bytes)
        if content := reader(path):
            found[name] = hashlib.sha256(content).hexdigest()[:16]
    return found


def difference(wanted: Digest, got: Digest) -> str:
    """The first files in which two folders differ; empty if they are the same."""
    lacking, more = sorted(wanted.keys() - got.keys()), sorted(got.keys() - wanted.keys())
    other = sorted(name for name in wanted.keys() & got.keys() if wanted[name] != got[name])
    parts = [("lacks", lacking), ("has besides", more), ("differs in", other)]
    return "; ".join(f"{what} {', '.join(names[:4])}" for what, names in parts if names)


def steady_json(path: Path) -> bytes:
    """JSON without what depends on the machine's speed."""
    return json.dumps(steady(json.loads(path.read_text(encoding="utf-8"))), sort_keys=True).encode()


def steady(value: Any) -> Any:
    """Nested values without keys that depend on the machine's speed; NaN equals NaN."""
    if isinstance(value, dict):
        return {str(key): steady(each) for key, each in value.items() if not VOLATILE.search(str(key))}
    if isinstance(value, list | tuple):
        return [steady(each) for each in value]
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def checkpoint(path: Path) -> bytes:
    """Tensors and values of a checkpoint, without speeds."""
    import torch

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            content = value.detach().contiguous().view(torch.uint8) if value.dim() else value
            return [str(value.dtype), list(value.shape), hashlib.sha256(content.numpy().tobytes()).hexdigest()]
        if isinstance(value, dict):
            if {"names", "sums"} <= value.keys():  # sums of an open interval; the last columns are times
                value = {**value, "sums": value["sums"][:, : len(value["names"])]}
            return {str(key): plain(each) for key, each in value.items()}
        return [plain(each) for each in value] if isinstance(value, list | tuple) else value

    state = torch.load(path, map_location="cpu", weights_only=True)
    return json.dumps(steady(plain(state)), sort_keys=True, default=str).encode()


def nothing(path: Path) -> bytes:
    """No content: the file holds times or versions; scalars of TensorBoard are compared by `curves`."""
    return b""


def curves(folder: Path) -> str:
    """All scalars of the TensorBoard events of a folder, one value a step, without speeds."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not any(folder.glob("*tfevents*")):
        return ""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    found = {tag: {each.step: each.value for each in events.Scalars(tag)} for tag in events.Tags()["scalars"]}
    return json.dumps(steady({tag: sorted(steps.items()) for tag, steps in found.items()}), sort_keys=True)


def _names(folder: Path) -> list[str]:
    """Paths relative to a folder, of all files and folders below it."""
    found = []
    for place, below, files in os.walk(folder):
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in (*below, *files)]
    return sorted(found)
