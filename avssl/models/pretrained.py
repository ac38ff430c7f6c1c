"""Third-party pretrained weights from local safetensors files; no pickles, no downloads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from avssl.io.tensor_files import load_tensors, read_tensors

CLASSIFIERS = ("fc", "head", "heads", "classifier")
"""Names of classifier layers in libraries; not needed for feature maps."""


def load_weights(module: nn.Module, path: Path | str, rename: Callable[[str], str] = str) -> None:
    """Load weights from a `.safetensors` file of a library or of a published checkpoint.

    The prefix `module.` of DataParallel is removed; classifiers that the network lacks are skipped, and batch counters
    that old checkpoints lack are unchanged.

    Args:
        module: changed in place, only if all tensors match.
        path: the file.
        rename: from names of the file to those of the module; empty skips the tensor.

    Raises:
        ValueError: missing file, broken file or pickle; missing or unexpected names; shapes that differ.
    """
    expected = module.state_dict()
    entries: dict[str, Tensor] = {n: tensor for n, tensor in expected.items() if n.endswith("num_batches_tracked")}
    for name, tensor in read_tensors(Path(path)).items():
        key = rename(name.removeprefix("module."))
        if key in expected or (key and key.split(".")[0] not in CLASSIFIERS):
            entries[key] = tensor
    load_tensors(module, entries, str(path))
