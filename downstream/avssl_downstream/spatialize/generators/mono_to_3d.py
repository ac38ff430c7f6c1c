"""Mono audio and the frames of a camera to first-order ambisonics: MonoTo3D (anonymous ICCV submission).

Masks of the mono spectrogram give X, Y and Z; W is the mono audio itself. As published they are complex and come from a
U-Net; those of the pointing network, which is ours, are real: separated tracks times their gains. The synthetic dataset
that it is trained on, and the conversion of its image axes to ambisonic axes, are in `avssl.synth.mono3d`.
"""

# B windows, S samples, T video frames; F bins and T' frames of a spectrogram; h and w rows and columns of feature maps
# N tracks, K sources

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from avssl.data.clip import Clip
from avssl.datasets.manifest import Manifest
from avssl.spatial.spherical_harmonics import mirror_left_right
from avssl.spatial.stft import StftConfig, apply_mask, ideal_masks, level
from avssl_downstream.spatialize.generator import (
    Generator,
    SeparatedTracks,
    VisualBranchFactory,
    make_audio_branch,
    mix_down,
    resize_frames,
)
from avssl_downstream.spatialize.generators.mono_to_3d_losses import losses
from avssl_downstream.spatialize.generators.mono_to_3d_masking import build
from avssl_downstream.spatialize.generators.mono_to_3d_options import MonoTo3DOptions
from avssl_downstream.spatialize.networks.spatial_softmax import SpatialSoftmax
from avssl_downstream.spatialize.stems import Views, ViewsWithStems


class MonoTo3D(Generator):
    """Mono audio and video of a camera to first-order ambisonics by masks (MonoTo3D).

    Args:
        options: network, STFT, window, frames, losses.
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
        tower = self.audio_branch.width if self.audio_branch else 0
        self.net = build(options, visual, frame_times, self.stft.frames(self.samples), tower)

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Training tensors of a clip.

        Returns:
            `audio` `(4, S)`; `frames`, uint8 `(T, 3, rows, columns)`; with `stem_weight` the dry sources `stems`
            `(K, S)`.
        """
        found = {"audio": clip.audio, "frames": resize_frames(clip.frames, self.size)}
        if self.options.mirror and rng.random() < 0.5:
            found = {"audio": mirror_left_right(clip.audio), "frames": found["frames"].flip(-1)}
        return found | ({"stems": clip.stems} if self.uses_stems else {})

    @property
    def uses_stems(self) -> bool:
        """Whether `views` needs the dry sources of each clip, `Clip.stems`."""
        return bool(self.options.stem_weight > 0)

    def views_of(self, manifest: Manifest) -> Views:
        """`views`, with the dry sources of each clip where they are trained with."""
        return ViewsWithStems(self.views, manifest.root) if self.uses_stems else self.views

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The three losses of the paper, each summed over channels, of audio normalised to a level of 0.1 in W.

        `place` and `stem` are those of the pointing network. `explained` is the explained share of the energy of X, Y
        and Z: 0 for W only, 1 for the target.
        """
        options, target = self.options, batch["audio"]
        gain = level(mix_down(target))[..., None]
        spectra = self.stft.stft(target / gain)
        mix, wanted = spectra[:, 0], spectra[:, 1:]
        features = self.encode_video(batch["frames"]), self._audio_features(mix_down(target))
        masks, further = self.net.training_masks(mix, *features, wanted, self._stems(batch, gain))
        found = apply_mask(masks, mix[:, None])
        terms = losses(found, wanted, mix, options.spatial_loss, options.min_norm)
        error, energy = ((each.detach().abs().square()).sum() for each in (found - wanted, wanted))
        loss = options.magnitude_weight * (terms["convergence"] + terms["logarithm"]) + terms["spatial"]
        for name, term in further.items():
            loss = loss + getattr(options, f"{name}_weight") * term
        return {"loss": loss, **terms, **further, "explained": 1 - error / energy.clamp(1e-9)}

    def encode_video(self, frames: Tensor) -> Tensor:
        """Feature maps of every frame, `(B, channels, T, h, w)`."""
        maps: Tensor = self.visual_branch(frames)
        return self.keypoints(maps) if self.keypoints else maps

    def generate(self, mono: Tensor, features: Tensor) -> Tensor:
        """See `Generator.generate`."""
        return self.generate_with_masks_of(mono, mono, features)

    def generate_with_masks_of(self, mono: Tensor, other: Tensor, features: Tensor) -> Tensor:
        """See `Generator.generate_with_masks_of`."""
        masks = self.net.masks(self.stft.stft(other / level(other)), features, self._audio_features(other))
        made = self.stft.istft(apply_mask(masks, self.stft.stft(mono)[:, None]), mono.shape[-1])
        return torch.cat([mono[:, None], made], 1)

    def separated_tracks(self, mono: Tensor, features: Tensor) -> SeparatedTracks | None:
        """See `Generator.separated_tracks`; of the pointing network."""
        return self.net.separated_tracks(self.stft.stft(mono / level(mono)), features, self._audio_features(mono))

    @property
    def mask_stft(self) -> StftConfig:
        """STFT of the masks."""
        return self.stft

    def ideal_mask_output(self, target: Tensor) -> Tensor:
        """Ideal masks: complex ones, or real ones of the pointing network."""
        mono = mix_down(target)
        mix = self.stft.stft(mono)
        masks = ideal_masks(self.stft.stft(target[:, 1:]), mix)
        masks = masks.real if self.options.network == "pointing" else masks
        return torch.cat([mono[:, None], self.stft.istft(apply_mask(masks, mix[:, None]), mono.shape[-1])], 1)

    def _audio_features(self, mono: Tensor) -> Tensor | None:
        """Features of an audio branch, of audio `(B, S)` at any level."""
        return self.audio_branch(mono / level(mono)) if self.audio_branch else None

    def _stems(self, batch: dict[str, Tensor], gain: Tensor) -> Tensor | None:
        """Spectra of the true sources, complex `(B, K, F, T')`, or None."""
        return self.stft.stft(batch["stems"] / gain) if self.uses_stems else None
