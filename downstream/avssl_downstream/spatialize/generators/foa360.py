"""Mono audio and 360-degree video to first-order ambisonics, after Morgado et al. (NeurIPS 2018).

"Self-Supervised Generation of Spatial Audio for 360 Video": the mono audio is W and is kept bit for bit; tracks are
separated from it, and each gets weights in Y, Z and X from audio and visual features. With `order=2`, first-order
ambisonics are kept and get the five channels of second order.
"""

# B windows, I input channels, S samples, T frames of a window
# h and w rows and columns of visual feature maps

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from avssl.data.augment import jitter_colour
from avssl.data.clip import Clip
from avssl.data.clip_options import Colour
from avssl.errors import InputError
from avssl.models.optical_flow import flow_estimator, flow_to_rgb
from avssl.models.panorama import stride_of_centred_layers
from avssl.spatial.metrics.spectral_error import complex_error
from avssl.spatial.spherical_harmonics import mirror_left_right, rotate_yaw
from avssl.spatial.stft import StftConfig, ideal_masks, level
from avssl_downstream.spatialize.generator import (
    Generator,
    SeparatedTracks,
    VisualBranchFactory,
    make_audio_branch,
    mix_down,
    resize_frames,
)
from avssl_downstream.spatialize.generators.foa360_direction_loss import DirectionLoss
from avssl_downstream.spatialize.generators.foa360_masking import LogMagnitudeBands
from avssl_downstream.spatialize.generators.foa360_options import STREAMS, Foa360Options, build
from avssl_downstream.spatialize.networks.branch_factory import BranchFactory
from avssl_downstream.spatialize.networks.direction_prior import (
    DirectionPrior,
    load_direction_prior,
    stored_direction_prior,
)
from avssl_downstream.spatialize.networks.foa360 import LocalizedTracks
from avssl_downstream.spatialize.networks.pulse_scores import COURSES, cell_courses
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch

PULSE_RATE = 5.0
"""Learning rate of the scores of pulses relative to all else: few weights, which have to grow within the run."""
HUE = 0.1
"""Strength of hue jitter relative to the others: hue distinguishes source classes."""


class Foa360(Generator):
    """Mono audio and 360-degree video to ambisonics, first or second order (Morgado et al. 2018).

    Args:
        options: network, STFT, window, frames, augmentation.
        branch: makes a visual branch for RGB frames and one for flow; the paper's are `torchvision/resnet18`.

    Raises:
        InputError: RAFT without weights, or sizes that do not fit the network.
    """

    Options: ClassVar[type] = Foa360Options
    panoramic: ClassVar[bool] = True

    def __init__(self, options: Foa360Options, branch: VisualBranchFactory) -> None:
        super().__init__(options, branch)
        sizes, self.output = options.sizes, "foa" if options.order == 1 else "second-order"
        self.sample_rate, self.frame_rate = options.sample_rate, options.frame_rate
        self.size = (options.rows, options.columns)
        self.seconds, self.margin = (each / self.sample_rate for each in (sizes.samples, sizes.margin))
        self.hop = (sizes.samples - 2 * sizes.margin) // 2 / self.sample_rate
        self.streams = STREAMS[options.variant]
        self.visual_branch = nn.ModuleDict({name: branch() for name in self.streams})
        self.planes = [branch.channels for branch in self._branches]
        self.pulses = options.parts.pulses if self.uses_frames else 0
        self.planes += [COURSES * self.pulses] if self.pulses else []
        self.lr_multipliers = {"model.net.pulses": PULSE_RATE} if self.pulses else {}
        self.frames = self.pulses or (2 if "flow" in self.streams else 1)
        self.audio_branch = make_audio_branch(branch, self)
        tower = self.audio_branch.width if self.audio_branch else 0
        self.cells = self._map_size()
        self.model = build(options, self.planes, self.cells, tower, bool(self.pulses))
        self.direction_loss = _direction_loss(options)
        self.direction_prior = self._make_prior(branch)
        self.planes += [self.direction_prior.width] if self.direction_prior else []
        self.optical_flow = (
            flow_estimator(options.flow, options.flow_weights, panoramic=True) if "flow" in self.streams else None
        )

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Training tensors of a clip.

        Returns:
            `audio` `(C, S)`; `images`, see `_images`; with `pulse_frames` `courses`, see `cell_courses`; `present`,
            which generated channels enter the loss: not a silent Z, and none of a window below `min_rms`.
        """
        frames, audio = self._augmented(resize_frames(clip.frames, self.size), clip.audio, rng)
        if self.options.colour:
            strength = self.options.colour
            colour = Colour(strength, strength, strength, min(0.5, HUE * strength))
            frames = jitter_colour(frames[None], colour, rng)[0]
        silent = "Z" in str(clip.labels.get("silent_channels", "")) or not bool(clip.audio[2].any())
        loud = bool(clip.audio[0].square().mean().sqrt() >= self.options.min_rms)
        present = [loud and (index != 2 or not silent) for index in range(self.input_channels, self.channels)]
        found = {"audio": audio, "images": self._images(frames), "present": torch.tensor(present)}
        return found | ({"courses": cell_courses(frames, self.cells)} if self.pulses else {})

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Loss of the paper: squared difference of spectra, of audio normalised to a level of 0.1 in W.

        With `direction_weight` also that of `foa360_direction_loss`.

        `explained` is the explained share of the energy of the generated channels: 0 for silence, 1 for the target.
        """
        target = batch["audio"] / level(mix_down(batch["audio"]))[..., None]
        audio = self.input_audio(target)
        maps = self._split(self._feature_maps(batch["images"], batch.get("courses")), audio)
        found, wanted, tracks = self.model.spectra(audio, maps, target[:, self.input_channels :])
        error, energy = (self._mean(complex_error(each, wanted), batch) for each in (found, torch.zeros_like(wanted)))
        loss = error + self._direction_loss(tracks, target, batch)
        return {"loss": loss, "explained": 1 - error.detach() / energy.clamp(min=1e-9)}

    def encode_video(self, frames: Tensor) -> Tensor:
        """Feature maps of all streams, concatenated, `(B, channels, h, w)`; without streams `(B, 0, 1, 1)`."""
        images = torch.stack([self._images(each) for each in frames.cpu()])
        courses = torch.stack([cell_courses(each, self.cells) for each in frames]) if self.pulses else None
        return self._feature_maps(images.to(frames.device), courses)

    def generate(self, mono: Tensor, features: Tensor) -> Tensor:
        """See `Generator.generate`."""
        return self.generate_with_masks_of(mono, mono, features)

    def generate_with_masks_of(self, mono: Tensor, other: Tensor, features: Tensor) -> Tensor:
        """See `Generator.generate_with_masks_of`; as published, weights of tracks are of the other audio, too."""
        audio, masking = (each[:, None] if self.input_channels == 1 else each for each in (mono, other))
        gain = level(audio[:, :1])
        levelled = masking / level(masking[:, :1])
        maps = self._split(features, levelled)
        return torch.cat([audio, self.model(audio / gain, maps, None if other is mono else levelled) * gain], 1)

    def separated_tracks(self, mono: Tensor, features: Tensor) -> SeparatedTracks | None:
        """See `Generator.separated_tracks`; not of the U-Net, and not without separation."""
        audio = mono[:, None] if self.input_channels == 1 else mono
        levelled = audio / level(audio[:, :1])
        return self.model.separated_tracks(levelled, self._split(features, levelled))

    @property
    def mask_stft(self) -> StftConfig:
        """STFT of the masks."""
        stft: StftConfig = self.options.sizes.stft
        return stft

    @property
    def uses_frames(self) -> bool:
        """See `Generator.uses_frames`; not so in the variant `no_video`."""
        return bool(self.streams) and super().uses_frames

    def ideal_mask_output(self, target: Tensor) -> Tensor:
        """Ideal masks of W: real ones, as weighted tracks are, or complex ones for the U-Net.

        Real masks reproduce any plane wave; of several in one bin, or of reflections, the part in phase with W.
        """
        stft, audio = self.options.sizes.stft, self.input_audio(target)
        spectrum = stft.stft(mix_down(target))
        masks = ideal_masks(stft.stft(target[:, self.input_channels :]), spectrum)
        masks = masks if self.options.variant == "unet" else masks.real
        return torch.cat([audio, stft.istft(masks * spectrum[:, None], audio.shape[-1])], 1)

    def _augmented(self, frames: Tensor, audio: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Frames and audio rotated about the vertical, by whole columns, and mirrored, consistently."""
        if self.options.yaw:
            columns = int(rng.integers(self.options.columns))
            frames = frames.roll(-columns, -1)
            audio = rotate_yaw(audio, 2 * math.pi * columns / self.options.columns)
        if self.options.mirror and rng.random() < 0.5:
            frames, audio = frames.flip(-1), mirror_left_right(audio)
        return frames, audio

    def _direction_loss(
        self, tracks: LocalizedTracks | None, target: Tensor, batch: dict[str, Tensor]
    ) -> Tensor | float:
        """Of windows in which all channels are present."""
        if self.direction_loss is None or tracks is None or tracks.attention is None:
            return 0.0
        assert isinstance(self.model.axis, LogMagnitudeBands)
        intensity = self.model.axis.intensity(self.options.sizes.stft.stft(target))
        found: Tensor = self.direction_loss(tracks, intensity, self.cells, batch["present"].all(-1))
        return found

    def _mean(self, error: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Mean over time and over the channels that are present: `(B, O, T)` to a scalar."""
        present = batch["present"].to(error)
        return (error.mean(-1) * present).sum() / present.sum().clamp(min=1)

    def _images(self, frames: Tensor) -> Tensor:
        """Images of each stream for the frames of a window, uint8 `(T, 3, H, W)` to `(streams, 3, H, W)`."""
        middle = len(frames) // 2
        images = [flow_to_rgb(self.optical_flow(frames[middle - 1 : middle + 1])[0])] if self.optical_flow else []
        images = [frames[middle], *images] if "rgb" in self.streams else images
        return torch.stack(images) if images else frames[:0]

    def _feature_maps(self, images: Tensor, courses: Tensor | None = None) -> Tensor:
        """Images of `_images` to feature maps `(B, channels, h, w)`, with circular padding.

        Last the courses of cells, then the maps of the direction prior.

        Args:
            images: see `_images`.
            courses: of `cell_courses`, `(B, C * T, h, w)`; None: no such maps.
        """
        if not self.streams:
            return torch.zeros(len(images), 0, 1, 1, device=images.device)
        further_maps = [] if courses is None else [courses]
        if self.direction_prior is not None:
            further_maps.append(self.direction_prior.planes(images[:, 0], self.cells))
        if self.options.centred_cells:
            images = images.roll(-(stride_of_centred_layers(self._branches[0].network) // 2), -1)
        padding = self.options.wrap_padding
        wide = torch.cat([images[..., images.shape[-1] - padding :], images, images[..., :padding]], -1)
        maps = torch.cat([branch(wide[:, [place]]).mean(2) for place, branch in enumerate(self._branches)], 1)
        margin = round(maps.shape[-1] * padding / wide.shape[-1])
        return torch.cat([maps[..., margin : maps.shape[-1] - margin], *further_maps], 1)

    def _split(self, features: Tensor, audio: Tensor) -> Sequence[Tensor]:
        """Feature maps of each stream, logits of the direction prior, features of the audio branch, if there are any.

        Audio is at a level of 0.1.
        """
        maps = torch.split(features, self.planes, 1) if self.planes else ()
        if self.direction_prior is not None:
            maps = (*maps[:-1], self.direction_prior(audio[:, 0], maps[-1]))
        return (*maps, self.audio_branch(audio)) if self.audio_branch else maps

    def _make_prior(self, branch: VisualBranchFactory) -> DirectionPrior | None:
        """Direction prior of the options; of a fitted generator that which is stored with it."""
        run = self.options.direction_prior
        if not run:
            return None
        if not self.uses_frames:
            raise InputError("expected a visual branch beside foa360.direction_prior, got visual_branch=none")
        if isinstance(branch, BranchFactory) and branch.prior is not None:
            return stored_direction_prior(branch.prior, self.sample_rate, "direction_prior")
        prior = load_direction_prior(Path(run), self.sample_rate, "foa360.direction_prior")
        if prior.geometry.frames != 1:
            raise InputError(
                f"foa360.direction_prior={run}: expected a run on single frames (data.frames=1), got one on "
                f"{prior.geometry.frames} frames"
            )
        return prior

    @property
    def _branches(self) -> list[VisualBranch]:
        return [each for each in self.visual_branch.values() if isinstance(each, VisualBranch)]

    def _map_size(self) -> tuple[int, int]:
        """Rows and columns of the feature maps.

        Raises:
            InputError: padding that is no multiple of the stride of the visual branch.
        """
        if not self.streams:
            return 1, 1
        (height, width), padding = self.size, self.options.wrap_padding
        (rows, columns), (_, padded) = (
            self._branches[0].shape(1, height, each)[2:] for each in (width, width + 2 * padding)
        )
        if padded * width != columns * (width + 2 * padding) or columns * padding % width:
            raise InputError(
                f"expected foa360.wrap_padding to be a multiple of {width / columns:g} columns, the cell size of the "
                f"visual branch, got {padding}"
            )
        return rows, columns


def _direction_loss(options: Foa360Options) -> DirectionLoss | None:
    if not options.direction_weight:
        return None
    return DirectionLoss(options.direction_weight, options.direction_steps, options.direction_concentration)
