"""Mono sound and a 360-degree picture to first-order ambisonics, after Morgado et al. (NeurIPS 2018).

"Self-Supervised Generation of Spatial Audio for 360 Video": the mono sound is W and stays as it is, to the bit; tracks
are separated from it, and each is given weights in Y, Z and X by what is seen and heard. Likewise a first-order field
stays, and is given the five channels of the second order.
"""

# B windows, I channels that come, S samples, T pictures
# F rows and T columns of a spectrum; h and w rows and columns of maps

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from avssl.data.augment import Colour, jitter_colour
from avssl.data.clip import Clip
from avssl.errors import InputError
from avssl.models.optical_flow import flow_estimator, paint
from avssl.spatial.any_order import mirror_left_right, rotate_yaw
from avssl.spatial.metrics.spectral_error import complex_error
from avssl.spatial.stft import ideal_masks, level
from avssl_downstream.spatialize.generator import Generator, VisualBranchFactory, mix_down, resize_frames
from avssl_downstream.spatialize.generators.foa360_options import STREAMS, Foa360Options, build
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch

HUE = 0.1
"""Of the strength with which other colours are changed: hue tells things apart."""


class Foa360(Generator):
    """W as it came; Y, Z and X made of it. Or these four as they came, and five made of them."""

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
        self.frames = 2 if "flow" in self.streams else 1
        self.visual_branch = nn.ModuleDict({name: branch() for name in self.streams})
        self.planes = [branch.channels for branch in self._branches]
        self.model = build(options, self.planes, self._cells())
        self.moved = (
            flow_estimator(options.flow, options.flow_weights, panoramic=True) if "flow" in self.streams else None
        )

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """The field, what each stream sees, and which channels teach: not a silent Z, and none of a faint window."""
        frames, audio = self._turned(resize_frames(clip.frames, self.size), clip.audio, rng)
        if self.options.colour:
            strength = self.options.colour
            colour = Colour(strength, strength, strength, min(0.5, HUE * strength))
            frames = jitter_colour(frames[None], colour, rng)[0]
        silent = "Z" in str(clip.labels.get("silent_channels", "")) or not bool(clip.audio[2].any())
        loud = bool(clip.audio[0].square().mean().sqrt() >= self.options.min_rms)
        present = [loud and (index != 2 or not silent) for index in range(self.input_channels, self.channels)]
        return {"audio": audio, "frames": self._frames(frames), "present": torch.tensor(present)}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The paper's loss, the squared difference of spectra, of sound whose mix is at a level of 0.1.

        `explained` is the share of the energy of the channels made that is found: 0 for none, 1 for the truth.
        """
        truth = batch["audio"] / level(mix_down(batch["audio"]))[..., None]
        maps = self._split(self._look(batch["frames"]))
        found, wanted = self.model.spectra(self.input_audio(truth), maps, truth[:, self.input_channels :])
        error, energy = (self._mean(complex_error(each, wanted), batch) for each in (found, torch.zeros_like(wanted)))
        return {"loss": error, "explained": 1 - error.detach() / energy.clamp(min=1e-9)}

    def encode_video(self, frames: Tensor) -> Tensor:
        """Maps of all streams, one after the other, `(B, channels, h, w)`; without streams `(B, 0, 1, 1)`."""
        images = torch.stack([self._frames(each) for each in frames.cpu()])
        return self._look(images.to(frames.device))

    def generate(self, mono: Tensor, seen: Tensor) -> Tensor:
        """See `Generator.generate`."""
        given = mono[:, None] if self.input_channels == 1 else mono
        loud = level(given[:, :1])
        return torch.cat([given, self.model(given / loud, self._split(seen)) * loud], 1)

    def ideal_mask_output(self, truth: Tensor) -> Tensor:
        """The truth's own masks of W: real ones, as weighted tracks are, or complex ones of the U-Net.

        Real masks give back any plane wave; of several that share a bin, or of reflections, what is in phase with W.
        """
        stft, given = self.options.sizes.stft, self.input_audio(truth)
        spectrum = stft.stft(mix_down(truth))
        masks = ideal_masks(stft.stft(truth[:, self.input_channels :]), spectrum)
        masks = masks if self.options.variant == "unet" else masks.real
        return torch.cat([given, stft.istft(masks * spectrum[:, None], given.shape[-1])], 1)

    def _turned(self, frames: Tensor, audio: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Picture and sound turned about the vertical, by a whole number of columns, and mirrored, both alike."""
        if self.options.yaw:
            turn = int(rng.integers(self.options.columns))
            frames = frames.roll(-turn, -1)
            audio = rotate_yaw(audio, 2 * math.pi * turn / self.options.columns)
        if self.options.mirror and rng.random() < 0.5:
            frames, audio = frames.flip(-1), mirror_left_right(audio)
        return frames, audio

    def _mean(self, error: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Over time, and over the channels that teach; `(B, channels made, T)` to a number."""
        present = batch["present"].to(error)
        return (error.mean(-1) * present).sum() / present.sum().clamp(min=1)

    def _frames(self, frames: Tensor) -> Tensor:
        """What each stream sees of the frames of a window: uint8 `(T, 3, H, W)` to `(streams, 3, H, W)`."""
        seen = [paint(self.moved(frames)[0])] if self.moved else []
        seen = [frames[len(frames) // 2], *seen] if "colours" in self.streams else seen
        return torch.stack(seen) if seen else frames[:0]

    def _look(self, frames: Tensor) -> Tensor:
        """uint8 `(B, streams, 3, H, W)` to maps `(B, channels, h, w)`."""
        if not self.streams:
            return torch.zeros(len(frames), 0, 1, 1, device=frames.device)
        seam = self.options.wrap_padding
        around = torch.cat([frames[..., frames.shape[-1] - seam :], frames, frames[..., :seam]], -1)
        maps = torch.cat([branch(around[:, [place]]).mean(2) for place, branch in enumerate(self._branches)], 1)
        beyond = round(maps.shape[-1] * seam / around.shape[-1])
        return maps[..., beyond : maps.shape[-1] - beyond]

    def _split(self, seen: Tensor) -> Sequence[Tensor]:
        return torch.split(seen, self.planes, 1) if self.planes else ()

    @property
    def _branches(self) -> list[VisualBranch]:
        return [each for each in self.visual_branch.values() if isinstance(each, VisualBranch)]

    def _cells(self) -> tuple[int, int]:
        """Rows and columns of the maps.

        Raises:
            InputError: cells of the picture that is laid around itself are not those of the picture.
        """
        if not self.streams:
            return 1, 1
        (height, width), seam = self.size, self.options.wrap_padding
        (rows, columns), (_, around) = (
            self._branches[0].shape(1, height, each)[2:] for each in (width, width + 2 * seam)
        )
        if around * width != columns * (width + 2 * seam):
            raise InputError(
                f"expected foa360.wrap_padding to be a multiple of {width / columns:g} columns, the cell size of "
                f"the visual branch, got {seam}"
            )
        return rows, columns
