"""Tensors by key in a folder of safetensors shards, appended as they are computed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from avssl.embedding.cache_keys import short_hash
from avssl.io.atomic import replacing

TENSORS_PER_SHARD = 256
NUMBERS_IN_MEMORY = 4_000_000
"""Numbers of the tensors that wait to be written, at most: keeps memory flat."""
SECONDS_PER_SHARD = 120.0
"""Between two shards, at most: so much work is lost when a run is killed."""


class TensorShards:
    """Tensors in a folder; new ones are added inside a `with` block.

    Args:
        folder: created when something is added; several processes may add to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stored: dict[str, Path] = {}
        """Key -> shard, the latest last."""
        for path in sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns):
            self.stored.update(dict.fromkeys(_keys(path), path))
        self._waiting: dict[str, Tensor] = {}
        self._begun = time.monotonic()

    def __enter__(self) -> TensorShards:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def __contains__(self, key: str) -> bool:
        """Whether a tensor of this key is stored, or waits to be written."""
        return key in self.stored or key in self._waiting

    def add(self, key: str, tensor: Tensor) -> None:
        """Store a tensor, with the next shard."""
        self._waiting[key] = tensor
        numbers = sum(each.numel() for each in self._waiting.values())
        late = time.monotonic() - self._begun > SECONDS_PER_SHARD
        if late or len(self._waiting) >= TENSORS_PER_SHARD or numbers >= NUMBERS_IN_MEMORY:
            self._write()

    def get(self, key: str) -> Tensor:
        """The tensor of a key."""
        return self._waiting[key] if key in self._waiting else self.read([key])[0]

    def read(self, keys: Sequence[str]) -> list[Tensor]:
        """The stored tensors of some keys, each shard opened once."""
        found: dict[str, Tensor] = {}
        for path in {self.stored[key] for key in keys}:
            with safe_open(path, "pt") as shard:
                # Clones: tensors of `safe_open` are views of the file, and end with it.
                found.update({key: shard.get_tensor(key).clone() for key in set(keys) if self.stored[key] == path})
        return [found[key] for key in keys]

    def _write(self) -> None:
        if self._waiting:
            path = self.folder / f"{short_hash(*self._waiting)}.safetensors"
            with replacing(path) as part:
                save_file(self._waiting, part)
            self.stored.update(dict.fromkeys(self._waiting, path))
        self._waiting, self._begun = {}, time.monotonic()


def _keys(path: Path) -> list[str]:
    """The keys in a shard; none if it is broken, so that its tensors are computed again."""
    try:
        with safe_open(path, "pt") as shard:
            return list(shard.keys())
    except (SafetensorError, OSError):
        return []
