"""Mono audio and eight frames of a camera to first-order ambisonics: MonoTo3D (anonymous ICCV submission).

Three complex masks of the mono spectrogram give X, Y and Z; W is the mono audio itself. The synthetic dataset that it
is trained on, and the conversion of its image axes to ambisonic axes, are in `avssl.synth.mono3d`.
"""

# B windows, S samples, T video frames; F bins and T' frames of a spectrogram; h and w rows and columns of feature maps

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from avssl.config import check_choices
from avssl.config_fields import choice
from avssl.data.clip import Clip
from avssl.errors import InputError
from avssl.spatial.stft import StftConfig, apply_mask, from_parts, ideal_masks, level, parts
from avssl_downstream.spatialize.generator import (
    Generator,
    VisualBranchFactory,
    make_audio_branch,
    mix_down,
    resize_frames,
)
from avssl_downstream.spatialize.networks.mono_to_3d import MonoTo3DNet
from avssl_downstream.spatialize.networks.spatial_softmax import SpatialSoftmax

TO_AMBIX = (1, 2, 0)
"""Positions of Y, Z and X in the paper's order X, Y, Z."""
LEAST_MAGNITUDE = 1e-3
"""Magnitude to which smaller ones are clamped before the logarithm: 80 dB below a tone at the level of the mix."""
LEAST_SHARE = 0.1
"""Least norm of a channel, as a share of the mix, by which its error is divided."""

SPATIAL_LOSSES = ("signed", "barred", "energy")


@dataclass(frozen=True)
class MonoTo3DOptions:
    """STFT, window, frames, network, losses; the defaults are those of the paper."""

    sample_rate: int = 16000
    """Hz."""
    seconds: float = 4.0
    """Seconds of a window."""
    n_fft: int = 512
    """Samples of the Fourier transform."""
    window_length: int = 400
    """Samples of an STFT window."""
    spectrum_hop: int = 160
    """Samples between STFT windows."""
    hop: float = 1.0
    """Seconds between windows in inference."""
    frames: int = 8
    """Frames of a window."""
    frame_rate: float = 2.0
    """Frames per second."""
    rows: int = 300
    """Rows of a frame, pixels."""
    columns: int = 300
    """Columns of a frame, pixels."""
    stages: int = 4
    """Layers of a torchvision ResNet as visual branch; the paper keeps 3."""
    keypoints: int = 0
    """Keypoints whose image coordinates are appended to the visual features (see `networks.spatial_softmax`); 0: none,
    as in the paper, which takes longer to train."""
    width: int = 64
    """Channels of the U-Net after its first halving."""
    visual_width: int = 1024
    """Output channels of the visual layers."""
    depth: int = 7
    """Halvings of the U-Net."""
    magnitude_weight: float = 1.0
    """Weight of the two magnitude losses, 1 in the paper. They cannot tell a mask from its negative and keep a wrong
    sign; smaller weights allow short trainings to correct it."""
    spatial_loss: str = choice("signed", SPATIAL_LOSSES)
    """Loss of real and imaginary parts: signed; barred, of their absolute values as in the paper's formula, without a
    difference of left and right; or energy, the squared error over the energy of the mix, which converges faster."""

    def __post_init__(self) -> None:
        """Validate field values."""
        for name in ("sample_rate", "seconds", "hop", "frames", "frame_rate", "rows", "columns", "width"):
            if not getattr(self, name) > 0:
                raise InputError(f"expected mono_to_3d.{name} above 0, got {getattr(self, name)}")
        check_choices(self, "mono_to_3d")
        if self.hop > self.seconds / 2:
            raise InputError(
                f"expected mono_to_3d.hop of at most {self.seconds / 2:g} s, half of a window, got {self.hop}"
            )
        columns = self.spectrum.frames(round(self.seconds * self.sample_rate))
        if min(self.spectrum.bins, columns) < 2**self.depth:
            raise InputError(
                f"expected at least {2**self.depth} bins and frames of spectrogram for {self.depth} halvings "
                f"(mono_to_3d.depth), got {self.spectrum.bins} and {columns}"
            )

    @property
    def spectrum(self) -> StftConfig:
        """The STFT."""
        return StftConfig(self.n_fft, self.window_length, self.spectrum_hop)


class MonoTo3D(Generator):
    """Mono audio and video of a camera to first-order ambisonics by complex masks (MonoTo3D).

    Args:
        options: STFT, window, frames, network, losses.
        branch: makes the visual branch; the paper's is `torchvision/resnet18`.
    """

    Options: ClassVar[type] = MonoTo3DOptions
    output = "foa"

    def __init__(self, options: MonoTo3DOptions, branch: VisualBranchFactory) -> None:
        super().__init__(options, branch)
        self.sample_rate, self.seconds, self.hop = options.sample_rate, options.seconds, options.hop
        self.frames, self.frame_rate, self.size = options.frames, options.frame_rate, (options.rows, options.columns)
        self.stft = options.spectrum
        self.visual_branch = branch(stages=options.stages)
        channels, frame_times, *_ = self.visual_branch.shape(self.frames, *self.size)
        self.keypoints = SpatialSoftmax(channels, options.keypoints) if options.keypoints else None
        visual = self.keypoints.channels if self.keypoints else channels
        self.audio_branch = make_audio_branch(branch, self)
        audio = self.audio_branch.width if self.audio_branch else 0
        self.net = MonoTo3DNet(options.width, visual, frame_times, options.visual_width, options.depth, audio)
        # Unbounded masks start near 0: default weights would be ten times louder than the target.
        for each in self.net.last.parameters():
            torch.nn.init.normal_(each, std=1e-3)

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """`audio` `(4, S)` and `frames`, uint8 `(T, 3, rows, columns)`, without augmentation."""
        return {"audio": clip.audio, "frames": resize_frames(clip.frames, self.size)}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The three losses of the paper, each summed over channels, of audio normalised to a level of 0.1 in W.

        `explained` is the explained share of the energy of X, Y and Z: 0 for W only, 1 for the target.
        """
        target = batch["audio"]
        levelled = target / level(mix_down(target))[..., None]
        spectra = self.stft.stft(levelled)
        mix, wanted = spectra[:, 0], spectra[:, 1:]
        masks = self._masks(mix, self.encode_video(batch["frames"]), mix_down(levelled))
        found = apply_mask(masks, mix[:, None])
        terms = losses(found, wanted, mix, self.options.spatial_loss)
        error, energy = ((each.detach().abs().square()).sum() for each in (found - wanted, wanted))
        loss = self.options.magnitude_weight * (terms["convergence"] + terms["logarithm"]) + terms["spatial"]
        return {"loss": loss, **terms, "explained": 1 - error / energy.clamp(1e-9)}

    def encode_video(self, frames: Tensor) -> Tensor:
        """Feature maps of every frame, `(B, channels, T, h, w)`."""
        maps: Tensor = self.visual_branch(frames)
        return self.keypoints(maps) if self.keypoints else maps

    def generate(self, mono: Tensor, features: Tensor) -> Tensor:
        """See `Generator.generate`."""
        return self.generate_with_masks_of(mono, mono, features)

    def generate_with_masks_of(self, mono: Tensor, other: Tensor, features: Tensor) -> Tensor:
        """See `Generator.generate_with_masks_of`."""
        levelled = other / level(other)
        masks = self._masks(self.stft.stft(levelled), features, levelled)
        made = self.stft.istft(apply_mask(masks, self.stft.stft(mono)[:, None]), mono.shape[-1])
        return torch.cat([mono[:, None], made], 1)

    @property
    def mask_stft(self) -> StftConfig:
        """STFT of the masks."""
        return self.stft

    def ideal_mask_output(self, target: Tensor) -> Tensor:
        """Ideal complex masks."""
        mono = mix_down(target)
        mix = self.stft.stft(mono)
        masks = ideal_masks(self.stft.stft(target[:, 1:]), mix)
        return torch.cat([mono[:, None], self.stft.istft(apply_mask(masks, mix[:, None]), mono.shape[-1])], 1)

    def _masks(self, mix: Tensor, features: Tensor, audio: Tensor) -> Tensor:
        """Complex masks `(B, 3, F, T')` of Y, Z and X, of the mix `(B, F, T')` and its audio `(B, S)`."""
        further = self.audio_branch(audio) if self.audio_branch else None
        return from_parts(self.net(parts(mix), features, further)[:, TO_AMBIX])


def losses(found: Tensor, wanted: Tensor, mix: Tensor, spatial_loss: str = "signed") -> dict[str, Tensor]:
    """The three losses of MonoTo3D: means over windows of sums over channels.

    Args:
        found: generated spectra, complex `(B, C, F, T')`.
        wanted: target spectra, same shape.
        mix: complex `(B, F, T')`.
        spatial_loss: one of `SPATIAL_LOSSES`.

    Returns:
        `convergence`, the spectral convergence of magnitudes (Arik et al. 2019); `logarithm`, the mean absolute error
        of log magnitudes; `spatial`, the convergence of real parts and of imaginary parts, or its replacement.
    """
    mix_norm = torch.linalg.vector_norm(mix, dim=(-2, -1))[:, None]
    magnitudes = found.abs(), wanted.abs()
    logarithms = [each.clamp(min=LEAST_MAGNITUDE).log() for each in magnitudes]
    terms = {
        "convergence": _convergence(*magnitudes, mix_norm),
        "logarithm": (logarithms[0] - logarithms[1]).abs().mean((-2, -1)),
        "spatial": _spatial(found, wanted, mix_norm, spatial_loss),
    }
    return {name: term.sum(1).mean() for name, term in terms.items()}


def _spatial(found: Tensor, wanted: Tensor, mix_norm: Tensor, kind: str) -> Tensor:
    if kind == "energy":
        return (found - wanted).abs().square().sum((-2, -1)) / mix_norm.clamp(min=LEAST_MAGNITUDE).square()
    both = [torch.view_as_real(each).movedim(-1, 0) for each in (found, wanted)]
    ours, theirs = both if kind == "signed" else [each.abs() for each in both]
    return _convergence(ours[0], theirs[0], mix_norm / 2**0.5) + _convergence(ours[1], theirs[1], mix_norm / 2**0.5)


def _convergence(found: Tensor, wanted: Tensor, mix_norm: Tensor) -> Tensor:
    """Norm of the error over that of the target, or over a share of the mix's if that is larger: `(B, C)`."""
    error, size = (torch.linalg.vector_norm(each, dim=(-2, -1)) for each in (found - wanted, wanted))
    return torch.div(error, torch.maximum(size, LEAST_SHARE * mix_norm).clamp(min=LEAST_MAGNITUDE))
