"""Clip: decoded frames and audio of one window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Clip:
    """One window of a recording, in memory.

    Audio of 360-degree video is ambiX (ACN order W, Y, Z, X; SN3D gain); its frames are equirectangular, the centre
    column in front.
    """

    frames: Tensor
    """uint8 `(time, 3, height, width)`, RGB."""
    audio: Tensor
    """float32 `(channels, samples)`, full scale 1."""
    sample_rate: int
    """Hz."""
    key: str
    """Key of the clip in its manifest."""
    labels: dict[str, Any] = field(default_factory=dict)
    """Manifest columns, and `start`: seconds from the clip's beginning to this window's."""
    solos: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    """float32 `(2, samples)`, what sounds on the left and on the right of the frames, of pairs whose sources are known;
    empty unless they were asked for."""
    objects: Tensor = field(default_factory=lambda: torch.empty(0, 3))
    """float32 `(N, 3)`, azimuth and elevation in radians and score of objects in the middle of the frames' time, best
    first; empty without objects or detector."""
    stems: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    """float32 `(K, samples)`, the dry sources of a synthetic scene, as loud as they are in its mono audio; empty unless
    they were asked for."""
