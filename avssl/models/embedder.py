"""Protocols of frozen networks that map windows of audio, or of frames, to embeddings."""

from __future__ import annotations

import hashlib
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from avssl.spatial.features import Features


@runtime_checkable
class Embedder(Protocol):
    """`nn.Module` that embeds windows, as used by batch inference and the embedding cache."""

    @property
    def width(self) -> int:
        """Embedding dimension."""
        ...

    def forward(self, windows: Tensor, /) -> Tensor:
        """Embed a batch of windows: `(windows, width)`."""
        ...

    def fingerprint(self) -> str:
        """Hash of configuration and weights, 64 hexadecimal digits: part of every cache key."""
        ...


@runtime_checkable
class AudioEmbedder(Embedder, Protocol):
    """An embedder of waveforms `(windows, channels, samples)`, full scale 1."""

    @property
    def features(self) -> Features:
        """Feature front-end, with the accepted channel counts."""
        ...

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms."""
        ...


def module_fingerprint(module: nn.Module, *settings: object) -> str:
    """Hash of settings, parameters and persistent buffers, 64 hexadecimal digits.

    Args:
        module: hashed by names, types, shapes and values of its state.
        settings: everything else that affects its output; hashed by `repr`.
    """
    digest = hashlib.sha256(repr(settings).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
