"""Spatial audio without training: mono audio from the direction of the heat map of a dense task."""

# B windows, T frames, S time steps of the audio, D embedding, h and w rows and columns of cells

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from torch import Tensor

from avssl.models.panorama import cell_solid_angles
from avssl_downstream.spatialize.frame_features import FrameReader
from avssl_downstream.spatialize.networks.direction_prior import DirectionPrior
from avssl_downstream.spatialize.networks.track_localization import cell_gains
from avssl_downstream.spatialize.overlap_add import OverlapAdd

GAIN = 0.6
"""Factor on the mean direction: other sources and the room are not from there. Of 0.4, 0.6, 0.8 and 1 the best on 80
validation scenes of synth360: 22.6, 25.8, 23.4 and 15.6 % of the energy explained."""


class HeatMapPanning:
    """First-order ambisonics of mono audio and 360-degree frames: one direction a window, of all audio.

    The direction is the mean over the sphere by the soft maximum of the heat map, of length 1 at most, times `GAIN`.
    Windows are as long as those of the task's training and overlap by half.

    Args:
        prior: on the fabric's device.
        fabric: device and precision.
    """

    def __init__(self, prior: DirectionPrior, fabric: Fabric) -> None:
        self.prior, self.fabric = prior, fabric
        self.samples = round(prior.geometry.seconds * prior.sample_rate)

    def audio(self, mono: Tensor, reader: FrameReader, seconds: float) -> Tensor:
        """Ambisonics `(4, samples)` of mono audio `(1, samples)`.

        Args:
            mono: at the sample rate of the prior.
            reader: of the frames.
            seconds: duration of the video.
        """

        def panned(windows: Tensor, starts: list[int]) -> Tensor:
            frames = torch.stack([self._frames(each, reader, seconds) for each in starts])
            gains = self.gains(windows[:, 0], frames)
            return torch.cat([windows, gains[..., None] * windows], 1)

        stream = OverlapAdd(panned, 4, self.samples, self.samples // 2)
        return torch.cat([stream.push(mono), stream.finish()], 1)

    def gains(self, mono: Tensor, frames: Tensor) -> Tensor:
        """Gains of Y, Z and X `(B, 3)` of windows.

        Args:
            mono: `(B, samples)`.
            frames: uint8 `(B, T, 3, height, width)`.
        """
        with torch.no_grad(), self.fabric.autocast():
            cells = self.prior.cells(frames.to(self.fabric.device))
            times = self.prior.times(mono.to(self.fabric.device)).mean(1)
        cosine = torch.einsum("BThwD,BD->BThw", cells, times).amax(1).cpu()
        size = cosine.shape[-2], cosine.shape[-1]
        logits = self.prior.matcher.sharpness * cosine + cell_solid_angles(*size).log()
        return GAIN * logits.flatten(1).softmax(-1) @ cell_gains(size)

    def _frames(self, start: int, reader: FrameReader, seconds: float) -> Tensor:
        """Frames about the middle of a window that begins at a sample."""
        shape = self.prior.geometry
        middle = (start + self.samples / 2) / self.prior.sample_rate
        last = max(0.0, seconds - 1 / shape.frame_rate)
        times = [middle + (index - (shape.frames - 1) / 2) / shape.frame_rate for index in range(shape.frames)]
        found = reader([min(max(0.0, each), last) for each in times], self.prior.matcher.frame_size)
        return torch.stack([torch.from_numpy(each.copy()).permute(2, 0, 1) for each in found])
