"""Example of a third-party generator of spatial audio: amplitude panning with an angle predicted from video."""

# B windows, S samples, T frames

from dataclasses import dataclass

import numpy as np
import torch
from avssl_downstream.spatialize.generator import Generator, VisualBranchFactory, mix_down, resize_frames
from torch import Tensor, nn

from avssl.data.clip import Clip


@dataclass(frozen=True)
class PannerOptions:
    """Options, filled from the key `generator_options` of the head."""

    seconds: float = 0.5
    """Length of a window in seconds."""
    rows: int = 32
    """Rows of a frame."""
    columns: int = 64
    """Columns of a frame."""


class Panner(Generator):
    """Amplitude panning: one gain for each ear and window, predicted from the video."""

    Options = PannerOptions
    output = "binaural"
    sample_rate = 16000
    frames, frame_rate = 1, 8.0

    def __init__(self, options: PannerOptions, branch: VisualBranchFactory) -> None:
        super().__init__(options, branch)
        self.seconds, self.hop, self.size = options.seconds, options.seconds / 2, (options.rows, options.columns)
        self.visual_branch = branch()
        channels, _, *cells = self.visual_branch.shape(self.frames, *self.size)
        self.angle = nn.Linear(channels * int(np.prod(cells)), 1)

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Binaural audio `(2, S)` and frames `(T, 3, rows, columns)`; runs in a loader process."""
        return {"audio": clip.audio, "frames": resize_frames(clip.frames, self.size)}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean squared error over the energy of the target; runs on the device."""
        target = batch["audio"]
        error = self.generate(mix_down(target), self.encode_video(batch["frames"])) - target
        return {"loss": error.square().mean() / target.square().mean().clamp_min(1e-9)}

    def encode_video(self, frames: Tensor) -> Tensor:
        """Panning angle `(B, 1)` in radians: pi / 2 is left, 0 right."""
        maps = self.visual_branch(frames).mean(2)
        return torch.pi / 2 * torch.sigmoid(self.angle(maps.flatten(1)))

    def generate(self, mono: Tensor, angle: Tensor) -> Tensor:
        """Left and right `(B, 2, S)` of mono audio `(B, S)`, at constant power."""
        return 2**0.5 * torch.stack([mono * angle.sin(), mono * angle.cos()], 1)

    def ideal_mask_output(self, target: Tensor) -> Tensor:
        """Mono audio with the true level of each ear, `(B, 2, S)`."""
        level = target.square().mean(-1, keepdim=True).sqrt()
        return mix_down(target)[:, None] * level / level.square().mean(-2, keepdim=True).sqrt().clamp_min(1e-9)
