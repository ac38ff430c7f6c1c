"""Tensors by name in a folder of safetensors files, written as they come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from avssl.io.atomic import replacing
from avssl.train.names import digest

FILES = 256
"""Tensors a shard."""
NUMBERS = 4_000_000
"""Of tensors that wait to be written, so that memory is flat."""
SECONDS = 120.0
"""Between one shard and the next at most: so much is lost when a run is killed."""


class Shards:
    """What a folder holds already, and what is added to it inside a `with` block.

    Args:
        folder: made when something is added; two processes may add to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: dict[str, Path] = {}
        """Name -> shard, the latest last."""
        for path in sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns):
            self.held.update(dict.fromkeys(_keys(path), path))
        self._waiting: dict[str, Tensor] = {}
        self._begun = time.monotonic()

    def __enter__(self) -> Shards:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def __contains__(self, name: str) -> bool:
        """Whether a tensor of this name is held, or waits to be written."""
        return name in self.held or name in self._waiting

    def add(self, name: str, tensor: Tensor) -> None:
        """Keep a tensor."""
        self._waiting[name] = tensor
        numbers = sum(each.numel() for each in self._waiting.values())
        late = time.monotonic() - self._begun > SECONDS
        if late or len(self._waiting) >= FILES or numbers >= NUMBERS:
            self._write()

    def one(self, name: str) -> Tensor:
        """The tensor of this name."""
        return self._waiting[name] if name in self._waiting else self.read([name])[0]

    def read(self, names: Sequence[str]) -> list[Tensor]:
        """The tensors of these names."""
        found: dict[str, Tensor] = {}
        for path in {self.held[name] for name in names}:
            with safe_open(path, "pt") as shard:
                # Clones: what `safe_open` gives lies in the file, and goes when that does.
                found.update({name: shard.get_tensor(name).clone() for name in set(names) if self.held[name] == path})
        return [found[name] for name in names]

    def _write(self) -> None:
        if self._waiting:
            path = self.folder / f"{digest(*self._waiting)}.safetensors"
            with replacing(path) as part:
                save_file(self._waiting, part)
            self.held.update(dict.fromkeys(self._waiting, path))
        self._waiting, self._begun = {}, time.monotonic()


def _keys(path: Path) -> list[str]:
    """The names in a shard; none if it is broken, so that they are computed again."""
    try:
        with safe_open(path, "pt") as shard:
            return list(shard.keys())
    except (SafetensorError, OSError):
        return []
