"""Weights that others have trained, from a local file; never a pickle, never the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from avssl.models.encoder_io import load_tensors, read_tensors

CLASSIFIERS = ("fc", "head", "heads", "classifier")
"""What libraries call the last layers of their networks, which maps of pictures do not need."""


def load_weights(module: nn.Module, path: Path | str, rename: Callable[[str], str] = str) -> None:
    """Fill a network from a `.safetensors` file of its library or of a published checkpoint.

    The `module.` of DataParallel is taken off; classifiers that the network does not have are left out, and counters
    of batches that old checkpoints lack stay as they are.

    Args:
        module: filled in place, only if all fits.
        path: of the file.
        rename: from the file's names to the module's; an empty one leaves the tensor out.

    Raises:
        ValueError: missing, broken or a pickle; missing or unexpected names; other shapes.
    """
    wanted = module.state_dict()
    entries: dict[str, Tensor] = {n: tensor for n, tensor in wanted.items() if n.endswith("num_batches_tracked")}
    for name, tensor in read_tensors(Path(path)).items():
        plain = rename(name.removeprefix("module."))
        if plain in wanted or (plain and plain.split(".")[0] not in CLASSIFIERS):
            entries[plain] = tensor
    load_tensors(module, entries, str(path))
