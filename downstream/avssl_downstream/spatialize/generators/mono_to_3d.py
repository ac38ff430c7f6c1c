"""Mono sound and eight pictures of a camera to first-order ambisonics: MonoTo3D (anonymous ICCV submission).

Three complex masks of the mono spectrum become X, Y and Z; W is the mono sound itself. The scenes that it learns from,
and how their picture's axes become those of the field, are in `avssl.synth.mono3d.mono3d_dataset`.
"""

# B windows, S samples, T pictures; F rows and T' columns of a spectrum; h and w rows and columns of maps

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from avssl.config import check_choices, choice
from avssl.data.clip import Clip
from avssl.errors import InputError
from avssl.spatial.stft import StftConfig, apply_mask, from_parts, ideal_masks, level, parts
from avssl_downstream.spatialize.generator import Generator, VisualBranchFactory, mix_down, resize_frames
from avssl_downstream.spatialize.networks.mono_to_3d import MonoTo3DNet
from avssl_downstream.spatialize.networks.spatial_softmax import SpatialSoftmax

TO_AMBIX = (1, 2, 0)
"""Where Y, Z and X stand in the paper's order X, Y, Z."""
LEAST = 1e-3
"""Magnitude below which logarithms are cut: 80 dB below a tone at the level that mixes are brought to."""
FAINT = 0.1
"""Of the mix: what a channel's spectrum is taken to be at least when an error is divided by it."""

SPATIAL = ("signed", "barred", "energy")


@dataclass(frozen=True)
class MonoTo3DOptions:
    """WindowSizes and pictures; the defaults are the paper's."""

    sample_rate: int = 16000
    """Hz."""
    seconds: float = 4.0
    """Of a window."""
    n_fft: int = 512
    """Samples of a short-time spectrum."""
    window_length: int = 400
    """Samples of its window."""
    spectrum_hop: int = 160
    """Samples between spectra."""
    hop: float = 1.0
    """Seconds between windows of a whole file."""
    frames: int = 8
    """Pictures of a window."""
    frame_rate: float = 2.0
    """Pictures a second."""
    rows: int = 300
    """Of a picture."""
    columns: int = 300
    """Of a picture."""
    stages: int = 4
    """Layers of a torchvision ResNet, if that is the picture branch; the paper keeps 3."""
    keypoints: int = 0
    """Keypoints whose image coordinates are appended to the visual features (see `networks.spatial_softmax`); 0: none,
    as in the paper, which takes longer to train."""
    width: int = 64
    """Channels of the U-Net after its first halving."""
    visual_width: int = 1024
    """Channels of what the pictures become over time."""
    depth: int = 7
    """Halvings of the U-Net."""
    magnitude_weight: float = 1.0
    """Weight of the two losses of magnitudes, 1 in the paper. They are as low at the truth as at its negative and high
    between, so that a mask that began with the wrong sign keeps it: less of them lets short training turn it round."""
    spatial_loss: str = choice("signed", SPATIAL)
    """The loss of real and imaginary parts. The paper's formula has bars around them: barred takes these for moduli,
    and cannot tell left from right; signed compares them with their signs; energy is the squared difference over the
    energy of the mix, to which loud channels matter more than faint ones: it is learnt in fewer steps."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        for name in ("sample_rate", "seconds", "hop", "frames", "frame_rate", "rows", "columns", "width"):
            if not getattr(self, name) > 0:
                raise InputError(f"mono_to_3d.{name} must be positive, not {getattr(self, name)}")
        check_choices(self, "mono_to_3d")
        if self.hop > self.seconds / 2:
            raise InputError(f"mono_to_3d.hop is at most half of the {self.seconds} s of a window, not {self.hop}")
        columns = self.spectrum.frames(round(self.seconds * self.sample_rate))
        if min(self.spectrum.bins, columns) < 2**self.depth:
            raise InputError(
                f"mono_to_3d.depth: {self.depth} halvings need {2**self.depth} rows and columns of spectrum, there are "
                f"{self.spectrum.bins} and {columns}"
            )

    @property
    def spectrum(self) -> StftConfig:
        """WindowSizes of the short-time spectra."""
        return StftConfig(self.n_fft, self.window_length, self.spectrum_hop)


class MonoTo3D(Generator):
    """W as it came; X, Y and Z by complex masks."""

    Options: ClassVar[type] = MonoTo3DOptions
    output = "foa"

    def __init__(self, options: MonoTo3DOptions, branch: VisualBranchFactory) -> None:
        super().__init__(options, branch)
        self.sample_rate, self.seconds, self.hop = options.sample_rate, options.seconds, options.hop
        self.frames, self.frame_rate, self.size = options.frames, options.frame_rate, (options.rows, options.columns)
        self.stft = options.spectrum
        self.visual_branch = branch(stages=options.stages)
        channels, instants, *_ = self.visual_branch.shape(self.frames, *self.size)
        self.keypoints = SpatialSoftmax(channels, options.keypoints) if options.keypoints else None
        seen = self.keypoints.channels if self.keypoints else channels
        self.net = MonoTo3DNet(options.width, seen, instants, options.visual_width, options.depth)
        # Masks without bounds begin near 0, not ten times as loud as the truth.
        for each in self.net.last.parameters():
            torch.nn.init.normal_(each, std=1e-3)

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """The field and the pictures, as they are."""
        return {"audio": clip.audio, "frames": resize_frames(clip.frames, self.size)}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The paper's three losses, each summed over the channels, of sound whose mix is at a level of 0.1.

        `explained` is the share of the energy of X, Y and Z that is found: 0 for W alone, 1 for the truth.
        """
        truth = batch["audio"]
        spectra = self.stft.stft(truth / level(mix_down(truth))[..., None])
        mix, wanted = spectra[:, 0], spectra[:, 1:]
        found = self._spectra(mix, self.encode_video(batch["frames"]))
        terms = losses(found, wanted, mix, self.options.spatial_loss)
        wrong, energy = ((each.detach().abs().square()).sum() for each in (found - wanted, wanted))
        loss = self.options.magnitude_weight * (terms["convergence"] + terms["logarithm"]) + terms["spatial"]
        return {"loss": loss, **terms, "explained": 1 - wrong / energy.clamp(1e-9)}

    def encode_video(self, frames: Tensor) -> Tensor:
        """Maps of every picture, `(B, channels, T, h, w)`."""
        maps: Tensor = self.visual_branch(frames)
        return self.keypoints(maps) if self.keypoints else maps

    def generate(self, mono: Tensor, seen: Tensor) -> Tensor:
        """See `Generator.generate`."""
        loud = level(mono)
        found = self._spectra(self.stft.stft(mono / loud), seen)
        made = self.stft.istft(found, mono.shape[-1]) * loud[..., None]
        return torch.cat([mono[:, None], made], 1)

    def ideal_mask_output(self, truth: Tensor) -> Tensor:
        """The complex masks that give the truth."""
        mono = mix_down(truth)
        mix = self.stft.stft(mono)
        masks = ideal_masks(self.stft.stft(truth[:, 1:]), mix)
        return torch.cat([mono[:, None], self.stft.istft(apply_mask(masks, mix[:, None]), mono.shape[-1])], 1)

    def _spectra(self, mix: Tensor, seen: Tensor) -> Tensor:
        """Y, Z and X, complex `(B, 3, F, T')`, of the mix `(B, F, T')`."""
        masks = self.net(parts(mix), seen)[:, TO_AMBIX]
        return apply_mask(from_parts(masks), mix[:, None])


def losses(found: Tensor, wanted: Tensor, mix: Tensor, spatial_loss: str = "signed") -> dict[str, Tensor]:
    """The three losses of MonoTo3D: each the mean over windows of a sum over channels.

    Args:
        found: complex `(B, C, F, T')`.
        wanted: likewise.
        mix: `(B, F, T')`.
        spatial_loss: one of `SPATIAL`.

    Returns:
        `convergence` (Arik et al. 2019), the difference of magnitudes over the magnitude; `logarithm`, the mean
        difference of their logarithms; `spatial`, the convergence of real parts and of imaginary ones, or what stands
        in its place.
    """
    loud = torch.linalg.vector_norm(mix, dim=(-2, -1))[:, None]
    moduli = found.abs(), wanted.abs()
    logarithms = [each.clamp(min=LEAST).log() for each in moduli]
    terms = {
        "convergence": _convergence(*moduli, loud),
        "logarithm": (logarithms[0] - logarithms[1]).abs().mean((-2, -1)),
        "spatial": _spatial(found, wanted, loud, spatial_loss),
    }
    return {name: term.sum(1).mean() for name, term in terms.items()}


def _spatial(found: Tensor, wanted: Tensor, loud: Tensor, kind: str) -> Tensor:
    if kind == "energy":
        return (found - wanted).abs().square().sum((-2, -1)) / loud.clamp(min=LEAST).square()
    sides = [torch.view_as_real(each).movedim(-1, 0) for each in (found, wanted)]
    ours, theirs = sides if kind == "signed" else [each.abs() for each in sides]
    return _convergence(ours[0], theirs[0], loud / 2**0.5) + _convergence(ours[1], theirs[1], loud / 2**0.5)


def _convergence(found: Tensor, wanted: Tensor, loud: Tensor) -> Tensor:
    """Norm of the difference over that of what is wanted, or over a share of the mix's if that is more: `(B, C)`."""
    wrong, size = (torch.linalg.vector_norm(each, dim=(-2, -1)) for each in (found - wanted, wanted))
    return torch.div(wrong, torch.maximum(size, FAINT * loud).clamp(min=LEAST))
