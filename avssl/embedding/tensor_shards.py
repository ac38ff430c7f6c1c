"""Float32 tensors by key in a folder of safetensors shards, appended as they are computed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from avssl.embedding.cache_keys import short_hash
from avssl.errors import one_line
from avssl.io.atomic import replacing
from avssl.io.cache_folder import writable_cache
from avssl.regular_files import is_regular, utf8_path

logger = logging.getLogger(__name__)
TENSORS_PER_SHARD = 256
NUMBERS_IN_MEMORY = 4_000_000
"""Numbers of the tensors that wait to be written, at most: keeps memory flat."""
SECONDS_PER_SHARD = 120.0
"""Between two shards, at most: so much work is lost when a run is killed."""


class TensorShards:
    """Tensors in a folder; new ones are added inside a `with` block.

    Args:
        folder: created when something is added; several processes may add to it. A temporary folder takes the new ones
            where it cannot be written.
        width: of the tensors `(any, width)`; shards with others are passed over, with a warning.
    """

    def __init__(self, folder: Path, width: int) -> None:
        self.folder = folder
        self.stored: dict[str, Path] = {}
        """Key -> shard, the latest last."""
        for path in sorted(filter(is_regular, folder.glob("*.safetensors")), key=lambda path: path.stat().st_mtime_ns):
            self.stored.update(dict.fromkeys(_keys(path, width), path))
        self._target = folder
        self._waiting: dict[str, Tensor] = {}
        self._numbers = 0
        """Of the tensors that wait."""
        self._begun = time.monotonic()

    def __enter__(self) -> TensorShards:
        self._target = writable_cache(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def __contains__(self, key: str) -> bool:
        """Whether a tensor of this key is stored, or waits to be written."""
        return key in self.stored or key in self._waiting

    def add(self, key: str, tensor: Tensor) -> None:
        """Store a tensor, with the next shard."""
        self._waiting[key] = tensor
        self._numbers += tensor.numel()
        late = time.monotonic() - self._begun > SECONDS_PER_SHARD
        if late or len(self._waiting) >= TENSORS_PER_SHARD or self._numbers >= NUMBERS_IN_MEMORY:
            self._write()

    def read(self, keys: Iterable[str]) -> dict[str, Tensor]:
        """The tensors of some keys, each shard opened once; a spoiled shard has none, and a warning says so."""
        found: dict[str, Tensor] = {}
        by_shard: dict[Path, set[str]] = {}
        for key in keys:
            if key in self._waiting:
                found[key] = self._waiting[key]
            else:
                by_shard.setdefault(self.stored[key], set()).add(key)
        for path, wanted in by_shard.items():
            try:
                with utf8_path(path, "a shard of the cache") as opened, safe_open(opened, "pt") as shard:
                    # Clones: tensors of `safe_open` are views of the file, and end with it.
                    found.update({key: shard.get_tensor(key).clone() for key in wanted})
            except (SafetensorError, OSError) as error:
                logger.warning("%s: cannot be read, its values are computed again: %s", path, one_line(error))
        return found

    def _write(self) -> None:
        if self._waiting:
            path = self._target / f"{short_hash(*self._waiting)}.safetensors"
            with replacing(path) as part:
                save_file(self._waiting, part)
            self.stored.update(dict.fromkeys(self._waiting, path))
        self._waiting, self._numbers, self._begun = {}, 0, time.monotonic()


def _keys(path: Path, width: int) -> list[str]:
    """The keys in a shard; none if it is broken or of something else, so that its tensors are computed again."""
    try:
        with utf8_path(path, "a shard of the cache") as opened, safe_open(opened, "pt") as shard:
            slices = {key: shard.get_slice(key) for key in shard.keys()}  # noqa: SIM118, no mapping
            kinds = {(str(each.get_dtype()), *each.get_shape()[1:]) for each in slices.values()}
        if kinds <= {("F32", width)}:
            return list(slices)
        reason = f"expected float32 embeddings of width {width}, got {sorted(kinds)[0]}"
    except (SafetensorError, OSError) as error:
        reason = one_line(error)
    logger.warning("%s: passed over, its embeddings are computed again: %s", path, reason)
    return []
