"""What a tower has made of sound early on, where it has not yet forgotten what its task does not ask for."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from avssl.models.unpooled import Tower

# B sounds, C channels, T time, M bands of frequency; N bands that are kept


def early_maps(tower: Tower, x: Tensor) -> Tensor:
    """Maps `(B, C, T, M)` that leave the first of a tower's blocks.

    Blocks are those parts of a network, of whatever sequences it is made, that are made of parts themselves.

    Args:
        tower: of spectra.
        x: `(B, maps, T, M)`.

    Raises:
        ValueError: most blocks give no maps, as those of transformers do.
    """
    taken: list[Tensor] = []
    hooks = [
        each.register_forward_hook(lambda _module, _input, output: taken.append(output)) for each in _blocks(tower)
    ]
    try:
        tower(x)
    finally:
        for hook in hooks:
            hook.remove()
    maps = [each for each in taken if isinstance(each, Tensor) and each.ndim == 4]
    if 2 * len(maps) <= len(taken):
        raise ValueError("the blocks of this tower of sound give no maps: take its embedding (layer=embedding)")
    return maps[0]


def over_time(maps: Tensor, bands: int) -> Tensor:
    """Mean and maximum over time of maps `(B, C, T, M)`, each in so many bands: `(B, 2 C N)`."""
    found = torch.cat([maps.mean(2), maps.amax(2)], 1)
    return nn.functional.adaptive_avg_pool1d(found, bands).flatten(1)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """In order; a network that is a tower's only part is looked into."""
    parts = list(module.children())
    for each in parts:
        if isinstance(each, nn.Sequential | nn.ModuleList) or (isinstance(module, Tower) and len(parts) == 1):
            yield from _blocks(each)
        elif any(True for _ in each.children()):
            yield each
