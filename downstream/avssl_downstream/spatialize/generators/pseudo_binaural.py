"""Mono audio and video to binaural audio by the complex mask of left minus right: Mono2Binaural and its successors.

Gao & Grauman, "2.5D Visual Sound", CVPR 2019; Zhou et al., "Sep-Stereo", ECCV 2020; Xu et al., "Visually Informed
Binaural Audio Generation without Binaural Audios" (PseudoBinaural), CVPR 2021. They differ mainly in training data.
"""

# B windows, S samples, T video frames; F bins and T' frames of a spectrogram

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.config import check_choices, check_range
from avssl.config_fields import choice
from avssl.data.augment import jitter_colour
from avssl.data.clip import Clip
from avssl.data.clip_options import Colour
from avssl.datasets.manifest import Manifest
from avssl.errors import InputError
from avssl.models.pretrained import load_weights
from avssl.spatial.stft import StftConfig, apply_mask, from_parts, ideal_masks, level, parts
from avssl_downstream.spatialize.generator import Generator, VisualBranchFactory, make_audio_branch, resize_frames
from avssl_downstream.spatialize.networks.apnet import (
    APNet,
    AssociativeConv,
    SeparationHead,
    StereoMasks,
    side_by_side,
)
from avssl_downstream.spatialize.networks.unet25d import NORMS, UNet25D
from avssl_downstream.spatialize.solos import has_solos, views_with_solos

RATE = 16000
"""Hz; the sizes of the spectrogram are chosen for it."""
FRAME_RATE = 10.0
"""Frames per second."""
MAX_WIDTH = 512
"""Channels of the U-Net after its first halving; deeper layers have eight times as many."""
CROP_MARGIN = 15 / 14
"""Size of training frames relative to the crops that are taken from them: 240 x 480 and 224 x 448."""
LOSSES = {"l2": functional.mse_loss, "l1": functional.l1_loss}
FUSIONS = ("none", "assoconv", "apnet")
CLIPS, SOURCES, SOURCES_AS_CODE = "clips", "sources", "sources-as-code"
SEPARATIONS = (CLIPS, SOURCES, SOURCES_AS_CODE)


@contextmanager
def _running_statistics_frozen(module: nn.Module) -> Iterator[None]:
    """Normalise by batch statistics without updating running ones, for audio unlike that of inference."""
    norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d) and each.track_running_stats]
    for each in norms:
        each.track_running_stats = False
    try:
        yield
    finally:
        for each in norms:
            each.track_running_stats = True


@dataclass(frozen=True)
class PseudoBinauralOptions:
    """Network, losses, window, frames, augmentation; defaults of PseudoBinaural with the fusion of Sep-Stereo."""

    width: int = 64
    """Channels of the U-Net after its first halving."""
    norm: str = choice("batch", NORMS)
    """Normalisation: batch; or instance, for batches of real and pseudo-binaural clips."""
    fusion: str = choice("apnet", FUSIONS)
    """Fusion network for masks of left and right: apnet or assoconv (Sep-Stereo); none: Mono2Binaural."""
    loss: str = choice("l2", LOSSES)
    """Loss of spectra: l2 or l1."""
    fusion_weight: float = 0.5
    """Weight of each of the two losses of the fusion network."""
    separation: float = 0.0
    """Weight of the loss of separation; 0: none."""
    separation_of: str = choice(CLIPS, SEPARATIONS)
    """What is separated. clips: two clips of a batch side by side (Sep-Stereo). Or the sources of pseudo-binaural pairs
    on the left of the picture from those on its right; sources: as loud as in the mix, by masks of their own (text of
    PseudoBinaural's supplement); sources-as-code: dry, each side at one level that is not that of the mix, by the
    masks of left and right (its code)."""
    hop: float = 0.1
    """Seconds between windows in inference."""
    seconds: float = 0.63
    """Seconds of a window."""
    rows: int = 224
    """Rows of a frame, pixels."""
    columns: int = 448
    """Columns of a frame, pixels."""
    grid_rows: int = 7
    """Rows to which visual feature maps are pooled; 7 for 224 pixels."""
    grid_columns: int = 14
    """Columns to which visual feature maps are pooled; 14 for 448 pixels."""
    colour: float = 0.3
    """Colour jitter in training: largest change of brightness and saturation."""
    crop: bool = True
    """Random crops of frames in training."""
    mirror: bool = False
    """Mirror frames and channels together in half of the training windows; in none of the papers."""
    audio_weights: str = ""
    """Weights of the published U-Net, a `.safetensors` file."""
    fusion_weights: str = ""
    """Weights of the published fusion network, a `.safetensors` file."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_choices(self, "pseudo_binaural")
        check_range("pseudo_binaural", "colour", self.colour, 0.0, 1.0)
        for name in ("fusion_weight", "separation"):
            check_range("pseudo_binaural", name, getattr(self, name), 0.0, 100.0)
        check_range("pseudo_binaural", "width", self.width, 1, MAX_WIDTH)
        for name in ("rows", "columns", "grid_rows", "grid_columns"):
            if getattr(self, name) < 1:
                raise InputError(f"expected pseudo_binaural.{name} of at least 1, got {getattr(self, name)}")
        if self.stft_frames % 32:
            raise InputError(
                "expected pseudo_binaural.seconds with a multiple of 32 STFT frames (0.31, 0.63, 0.95, 1.27, ...), got "
                f"{self.seconds} s with {self.stft_frames}"
            )

    @property
    def stft_frames(self) -> int:
        """STFT frames of a window."""
        return StftConfig().frames(round(self.seconds * RATE))


class _Masks(NamedTuple):
    """Masks of a mix, of B windows."""

    difference: Tensor
    """Complex, of left minus right."""
    stereo: StereoMasks | None
    """Of left and right, by the fusion network."""
    features: Tensor
    """That the last layers make masks of, see `SeparationHead`."""


class _Mixed(NamedTuple):
    """Mixes of B windows, and their masks."""

    masks: _Masks
    spectrum: Tensor
    """Of the mix at a root mean square of 0.1."""
    gain: Tensor
    """By which the mix was divided, `(B, 1)`."""
    both: Tensor
    """Divisor of the level of both channels together, `(B, 1)`."""

    def windows(self, chosen: Tensor) -> _Mixed:
        """Some of the windows, `(B,)` bool."""
        difference, stereo, features = self.masks
        stereo = None if stereo is None else StereoMasks(*(each[chosen] for each in stereo))
        masks = _Masks(difference[chosen], stereo, features[chosen])
        return _Mixed(masks, self.spectrum[chosen], self.gain[chosen], self.both[chosen])


class PseudoBinaural(Generator):
    """Mono audio and video to binaural audio by a U-Net and audio-visual fusion (Xu et al. 2021).

    Args:
        options: network, losses, window, frames, augmentation.
        branch: makes the visual branch; the papers' is `torchvision/resnet18`.
    """

    Options = PseudoBinauralOptions
    output = "binaural"
    options: PseudoBinauralOptions
    sample_rate = RATE
    frames, frame_rate = 1, FRAME_RATE

    def __init__(self, options: PseudoBinauralOptions, branch: VisualBranchFactory) -> None:
        super().__init__(options, branch)
        self.seconds, self.hop, self.size = options.seconds, options.hop, (options.rows, options.columns)
        self.spectrum = StftConfig()
        self.visual_branch = branch()
        sizes = options.width, self.visual_branch.channels, (options.grid_rows, options.grid_columns)
        self.audio_branch = make_audio_branch(branch, self)
        self.audio = UNet25D(*sizes, options.norm, self.audio_branch.width if self.audio_branch else 0)
        self.fusion: APNet | AssociativeConv | None = None
        if options.fusion != "none":
            self.fusion = APNet(*sizes, options.norm) if options.fusion == "apnet" else AssociativeConv(*sizes)
        self.separator = self._separator() if options.separation and options.separation_of == SOURCES else None
        if options.audio_weights:
            load_weights(self.audio, options.audio_weights)
        if options.fusion_weights and self.fusion:
            load_weights(self.fusion, options.fusion_weights)

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """`audio` `(2, S)` and `frames`, uint8 `(T, 3, rows, columns)`.

        Where sources are separated, also `solos` `(2, S)`, silent of clips without any, and `has_solos`.

        Raises:
            InputError: audio without exactly two channels.
        """
        if len(clip.audio) != 2:
            raise InputError(f"{clip.key}: expected binaural audio, 2 channels, got {len(clip.audio)}")
        frames, audio = self._cropped(clip.frames, rng), clip.audio
        if self.options.colour:
            strength = Colour(self.options.colour, 0.0, self.options.colour, 0.0)
            frames = jitter_colour(frames[None], strength, rng)[0]
        solos = clip.solos if clip.solos.numel() else torch.zeros_like(audio)
        if self.options.mirror and rng.random() < 0.5:
            frames, audio, solos = frames.flip(-1), audio.flip(0), solos.flip(0)
        found = {"audio": audio, "frames": frames}
        if self._separates_sources:
            found |= {"solos": solos, "has_solos": torch.tensor(clip.solos.numel() > 0)}
        return found

    def views_of(self, manifest: Manifest) -> Callable[[Clip, np.random.Generator], dict[str, Tensor]]:
        """`views`, with the solos of pseudo-binaural pairs where these are separated."""
        if not self._separates_sources:
            return self.views
        return views_with_solos(self.views, manifest, self.options.separation_of == SOURCES_AS_CODE)

    def check_training(self, manifests: Sequence[Manifest]) -> None:
        """See `Generator.check_training`; separation of sources needs pairs whose sources are known."""
        as_code = self.options.separation_of == SOURCES_AS_CODE
        if self._separates_sources and not any(has_solos(each, as_code) for each in manifests):
            raise InputError(
                f"expected pseudo-binaural pairs beside separation_of={self.options.separation_of}, got clips whose "
                "sources are not known; set augment=pseudo-binaural-stage or a folder that this version of avssl synth "
                "rendered, or separation_of=clips"
            )

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weighted sum of all losses, and each; `of_mono`: that of the difference relative to mono in both channels."""
        audio, maps = batch["audio"], self.encode_video(batch["frames"])
        mixed = self._mixed(audio, maps)
        found = self._losses(mixed, audio)
        loss = self._weighted(found)
        if self._separates_sources:
            found["separation"] = self._solo_loss(mixed, batch["solos"], batch["has_solos"])
        elif self.options.separation and len(audio) > 1:
            found["separation"] = self._side_by_side_loss(audio, maps)
        return {"loss": loss + self.options.separation * found.get("separation", 0.0), **found}

    def encode_video(self, frames: Tensor) -> Tensor:
        """Feature maps `(B, channels, h, w)`, averaged over time."""
        maps: Tensor = self.visual_branch(frames)
        return maps.mean(2)

    def generate(self, mono: Tensor, features: Tensor) -> Tensor:
        """See `Generator.generate`; by the masks of the fusion network if there is one, as in Sep-Stereo."""
        return self.generate_with_masks_of(mono, mono, features)

    def generate_with_masks_of(self, mono: Tensor, other: Tensor, features: Tensor) -> Tensor:
        """See `Generator.generate_with_masks_of`."""
        mix = 2 * mono
        spectrum = self.spectrum.stft(mix)
        masking = 2 * other / level(2 * other)
        made = self._masks(masking, self.spectrum.stft(masking), features)
        if made.stereo is None:
            return self._binaural(mix, apply_mask(made.difference, spectrum))
        masks = torch.stack([from_parts(each) for each in made.stereo], 1)
        return self.spectrum.istft(apply_mask(masks, spectrum[:, None]), mono.shape[-1])

    @property
    def mask_stft(self) -> StftConfig:
        """STFT of the masks."""
        return self.spectrum

    def ideal_mask_output(self, target: Tensor) -> Tensor:
        """Ideal mask of the difference; not limited to -1..1 as the network's is."""
        mix, side = target.sum(-2), target[..., 0, :] - target[..., 1, :]
        spectrum = self.spectrum.stft(mix)
        mask = ideal_masks(self.spectrum.stft(side)[..., None, :, :], spectrum)[..., 0, :, :]
        return self._binaural(mix, apply_mask(mask, spectrum))

    @property
    def _separates_sources(self) -> bool:
        """Whether the sources of pairs are separated."""
        return self.options.separation > 0 and self.options.separation_of != CLIPS

    def _separator(self) -> SeparationHead:
        return SeparationHead(self.fusion.channels if self.fusion else self.options.width)

    def _mixed(self, audio: Tensor, maps: Tensor) -> _Mixed:
        """Mix of binaural audio `(B, 2, S)` at a fixed level, as in inference, and its masks."""
        mix = audio.sum(-2)
        gain, both = level(mix), 2 * level(audio.flatten(-2))
        spectrum = self.spectrum.stft(mix / gain)
        return _Mixed(self._masks(mix / gain, spectrum, maps), spectrum, gain, both)

    def _losses(self, mixed: _Mixed, audio: Tensor) -> dict[str, Tensor]:
        """Losses of the difference's mask, and of the fusion network's masks.

        They are of spectra normalised by the level of both channels together, as in 2.5D Visual Sound: normalised by
        the level of the mix, a few windows whose channels nearly cancel would dominate.
        """
        wanted = self.spectrum.stft((audio[:, 0] - audio[:, 1]) / mixed.both)
        found = self._distances(mixed.masks, mixed.spectrum * (mixed.gain / mixed.both)[..., None], wanted)
        silent = self._distance(torch.zeros_like(mixed.masks.difference), wanted)
        return found | {"of_mono": found["difference"].detach() / silent.clamp(min=1e-12)}

    def _distances(self, masks: _Masks, spectrum: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        """Distances to the spectrogram of left minus right of what the masks make of a mix."""
        mixed, wanted = (each[..., : masks.difference.shape[-2], :] for each in (spectrum, wanted))
        found = {"difference": self._distance(masks.difference * mixed, wanted)}
        if masks.stereo is not None:
            left, right = (from_parts(each) * mixed for each in masks.stereo)
            found["fusion"] = self._distance(2 * left - mixed, wanted) + self._distance(mixed - 2 * right, wanted)
        return found

    def _distance(self, made: Tensor, wanted: Tensor) -> Tensor:
        """Distance of spectrograms in the bins of the first."""
        return LOSSES[self.options.loss](parts(made), parts(wanted[..., : made.shape[-2], :]))

    def _weighted(self, found: dict[str, Tensor]) -> Tensor:
        """Sum of the losses of left and right."""
        return found["difference"] + self.options.fusion_weight * found.get("fusion", 0.0)

    def _side_by_side_loss(self, audio: Tensor, maps: Tensor) -> Tensor:
        """Loss of separating each clip of a batch from the next one, side by side."""
        solo = audio.mean(-2, keepdim=True)
        solo = solo / level(solo)
        pairs = torch.cat([solo, solo.roll(1, 0)], -2)
        with _running_statistics_frozen(self):
            mixed = self._mixed(pairs, side_by_side(maps, maps.roll(1, 0)))
            return self._weighted(self._losses(mixed, pairs))

    def _solo_loss(self, mixed: _Mixed, solos: Tensor, there: Tensor) -> Tensor:
        """Loss of separating the sources on the left from those on the right.

        Args:
            mixed: the windows.
            solos: left and right, `(B, 2, S)`.
            there: windows that have any, `(B,)` bool.
        """
        if not there.any():
            return solos.new_zeros(())
        mixed, solos = mixed.windows(there), solos[there]
        if self.separator is None:
            wanted = self.spectrum.stft(solos[:, 0] - solos[:, 1])
            return self._weighted(self._distances(mixed.masks, mixed.spectrum, wanted))
        wanted = self.spectrum.stft(solos / mixed.both[..., None])
        spectrum = mixed.spectrum * (mixed.gain / mixed.both)[..., None]
        masks = torch.stack([from_parts(each) for each in self.separator(mixed.masks.features)], 1)
        return 2 * self._distance(apply_mask(masks, spectrum[:, None]), wanted)  # the sum of left and right

    def _masks(self, mix: Tensor, spectrum: Tensor, maps: Tensor) -> _Masks:
        """Masks of a mix `(B, S)` and its spectrogram."""
        decoded = self.audio(parts(spectrum), maps, self.audio_branch(mix) if self.audio_branch else None)
        difference = from_parts(decoded.mask)
        if self.fusion is None:
            return _Masks(difference, None, decoded.levels[-1])
        features = self.fusion.fused(decoded, maps)
        return _Masks(difference, self.fusion.masks(features), features)

    def _binaural(self, mix: Tensor, difference: Tensor) -> Tensor:
        """Left and right `(B, 2, S)` of their sum and the spectrogram of their difference."""
        side = self.spectrum.istft(difference, mix.shape[-1])
        return torch.stack([mix + side, mix - side], -2) / 2

    def _cropped(self, frames: Tensor, rng: np.random.Generator) -> Tensor:
        """Frames at the network's size, randomly cropped."""
        if not self.options.crop:
            return resize_frames(frames, self.size)
        rows, columns = self.size
        large = resize_frames(frames, (round(rows * CROP_MARGIN), round(columns * CROP_MARGIN)))
        top, left = (int(rng.integers(have - want + 1)) for have, want in zip(large.shape[-2:], self.size, strict=True))
        return large[..., top : top + rows, left : left + columns].contiguous()
