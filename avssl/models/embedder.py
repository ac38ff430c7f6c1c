"""Protocols of frozen networks that map windows of audio, or of frames, to embeddings."""

from __future__ import annotations

import hashlib
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from avssl.spatial.features import Features


@runtime_checkable
class Embedder(Protocol):
    """An `nn.Module` that embeds windows: what batch inference and the embedding cache need of it."""

    @property
    def width(self) -> int:
        """Numbers of one embedding."""
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
        """Front-end: gives the numbers of channels that are accepted."""
        ...

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms."""
        ...


def module_fingerprint(module: nn.Module, *settings: object) -> str:
    """Hash of settings, parameters and persistent buffers, 64 hexadecimal digits.

    Args:
        module: names, types, shapes and values of its state count.
        settings: everything else that changes its output; compared by `repr`.
    """
    digest = hashlib.sha256(repr(settings).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
