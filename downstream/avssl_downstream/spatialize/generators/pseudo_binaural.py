"""Mono to two ears by the complex mask of the difference: Mono2Binaural, Sep-Stereo, PseudoBinaural.

Gao & Grauman, "2.5D Visual Sound", CVPR 2019; Zhou et al., "Sep-Stereo", ECCV 2020; Xu et al., "Visually Informed
Binaural Audio Generation without Binaural Audios", CVPR 2021. With which data it is trained tells them apart.
"""

# B windows, S samples, T pictures; F rows and T' columns of a spectrum

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.config import check_choices, check_range, choice
from avssl.data.augment import Colour, jitter_colour
from avssl.data.clip import Clip
from avssl.errors import InputError
from avssl.models.pretrained import load_weights
from avssl.spatial.stft import StftConfig, apply_mask, from_parts, ideal_masks, level, parts
from avssl_downstream.spatialize.generator import Generator, VisualBranchFactory, resize_frames
from avssl_downstream.spatialize.networks.apnet import APNet, AssociativeConv, StereoMasks, side_by_side
from avssl_downstream.spatialize.networks.unet25d import UNet25D

RATE = 16000
"""Hz; the sizes of the spectrum are meant for it."""
FRAMES_A_SECOND = 10.0
ROOM = 15 / 14
"""Training pictures are that much larger than the window that is cut out of them: 240 x 480 and 224 x 448."""
LOSSES = {"l2": functional.mse_loss, "l1": functional.l1_loss}
FUSIONS = ("none", "assoconv", "apnet")


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Batches of other sounds than files hold are normalised by themselves, and leave no trace in what files are by."""
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
    """WindowSizes, losses and pictures; the defaults are PseudoBinaural's with the fusion of Sep-Stereo."""

    width: int = 64
    """Channels of the U-Net after its first halving."""
    norm: str = "batch"
    """batch, or instance where real and pseudo-binaural clips are mixed."""
    fusion: str = choice("apnet", FUSIONS)
    """apnet or assoconv: masks of left and right beside that of the difference; none: Mono2Binaural."""
    loss: str = choice("l2", LOSSES)
    """l2 or l1, of spectra."""
    fusion_weight: float = 0.5
    """Of each of the two losses of the fusion's masks."""
    separation: float = 0.0
    """Weight of telling two clips apart that are put side by side; 0: not done."""
    hop: float = 0.1
    """Seconds between the windows of a whole file."""
    seconds: float = 0.63
    """Of a window."""
    rows: int = 224
    """Of a picture."""
    columns: int = 448
    """Of a picture."""
    grid_rows: int = 7
    """That the picture's maps are averaged into; 7 are those of 224 pixels."""
    grid_columns: int = 14
    """Likewise; 14 are those of 448 pixels."""
    colour: float = 0.3
    """Brightness and saturation change by up to this in training."""
    crop: bool = True
    """Cut training pictures at random."""
    mirror: bool = False
    """Exchange left and right of picture and sound, together, in half of the training windows; none published does."""
    audio_weights: str = ""
    """Published U-Net, a `.safetensors` file."""
    fusion_weights: str = ""
    """Published fusion, a `.safetensors` file."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        check_choices(self, "pseudo_binaural")
        check_range("pseudo_binaural", "colour", self.colour, 0.0, 1.0)
        for name in ("fusion_weight", "separation"):
            check_range("pseudo_binaural", name, getattr(self, name), 0.0, 100.0)
        for name in ("width", "rows", "columns", "grid_rows", "grid_columns"):
            if getattr(self, name) < 1:
                raise InputError(f"pseudo_binaural.{name} is at least 1, not {getattr(self, name)}")
        if self.columns_of_spectrum % 32:
            raise InputError(
                f"pseudo_binaural.seconds makes {self.columns_of_spectrum} columns of spectrum, the U-Net needs a "
                "multiple of 32: 0.31, 0.63, 0.95, 1.27, ..."
            )

    @property
    def columns_of_spectrum(self) -> int:
        """Columns of the spectrum of a window."""
        return StftConfig().frames(round(self.seconds * RATE))


class PseudoBinaural(Generator):
    """The 2.5D U-Net, with or without a head that lets every cell of the picture listen.

    Args:
        options: sizes, losses, pictures.
        branch: makes the picture branch; `torchvision/resnet18` is the published one.
    """

    Options = PseudoBinauralOptions
    output = "binaural"
    options: PseudoBinauralOptions
    sample_rate = RATE
    frames, frame_rate = 1, FRAMES_A_SECOND

    def __init__(self, options: PseudoBinauralOptions, branch: VisualBranchFactory) -> None:
        super().__init__(options, branch)
        self.seconds, self.hop, self.size = options.seconds, options.hop, (options.rows, options.columns)
        self.spectrum = StftConfig()
        self.visual_branch = branch()
        sizes = options.width, self.visual_branch.channels, (options.grid_rows, options.grid_columns)
        self.audio = UNet25D(*sizes, options.norm)
        self.fusion: APNet | AssociativeConv | None = None
        if options.fusion != "none":
            self.fusion = APNet(*sizes, options.norm) if options.fusion == "apnet" else AssociativeConv(*sizes)
        if options.audio_weights:
            load_weights(self.audio, options.audio_weights)
        if options.fusion_weights and self.fusion:
            load_weights(self.fusion, options.fusion_weights)

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """`audio` `(2, S)` and `frames` uint8 `(T, 3, rows, columns)`."""
        if len(clip.audio) != 2:
            raise InputError(f"{clip.key}: sound for two ears has 2 channels, this has {len(clip.audio)}")
        frames, audio = self._cut(clip.frames, rng), clip.audio
        if self.options.colour:
            strength = Colour(self.options.colour, 0.0, self.options.colour, 0.0)
            frames = jitter_colour(frames[None], strength, rng)[0]
        if self.options.mirror and rng.random() < 0.5:
            frames, audio = frames.flip(-1), audio.flip(0)
        return {"audio": audio, "frames": frames}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weighted sum of all losses; `of_mono`: that of the difference over what it is for one channel copied."""
        ears, maps = batch["audio"], self.encode_video(batch["frames"])
        found = self._losses(ears, maps)
        loss = found["difference"] + self.options.fusion_weight * found.get("fusion", 0.0)
        if self.options.separation and len(ears) > 1:
            solo = ears.mean(-2, keepdim=True)
            solo = solo / level(solo)
            with _statistics_kept(self):
                apart = self._losses(torch.cat([solo, solo.roll(1, 0)], -2), side_by_side(maps, maps.roll(1, 0)))
            found["separation"] = apart["difference"] + self.options.fusion_weight * apart.get("fusion", 0.0)
            loss = loss + self.options.separation * found["separation"]
        return {"loss": loss, **found}

    def encode_video(self, frames: Tensor) -> Tensor:
        """Maps `(B, channels, h, w)`, their mean over time."""
        maps: Tensor = self.visual_branch(frames)
        return maps.mean(2)

    def generate(self, mono: Tensor, seen: Tensor) -> Tensor:
        """Left and right; by the fusion's masks if there are some, as Sep-Stereo has it."""
        mix = 2 * mono
        gain = level(mix)
        spectrum = self.spectrum.stft(mix / gain)
        difference, ears = self._masks(spectrum, seen)
        if ears is None:
            return gain[:, None] * self._ears(mix / gain, apply_mask(difference, spectrum))
        masks = torch.stack([from_parts(each) for each in ears], 1)
        return gain[:, None] * self.spectrum.istft(apply_mask(masks, spectrum[:, None]), mono.shape[-1])

    def ideal_mask_output(self, truth: Tensor) -> Tensor:
        """By the true mask of the difference; a network's is within 1 and -1, this one is not."""
        mix, side = truth.sum(-2), truth[..., 0, :] - truth[..., 1, :]
        spectrum = self.spectrum.stft(mix)
        mask = ideal_masks(self.spectrum.stft(side)[..., None, :, :], spectrum)[..., 0, :, :]
        return self._ears(mix, apply_mask(mask, spectrum))

    def _losses(self, ears: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """Of the difference's mask, and of the fusion's.

        The network hears the mix at one level, as it does of files. The losses are of spectra at one level of both ears
        together, as 2.5D Visual Sound has them: of the mix's, a few windows whose ears nearly cancel in it would count
        for more than all others.
        """
        mix = ears.sum(-2)
        gain, both = level(mix), 2 * level(ears.flatten(-2))
        spectrum = self.spectrum.stft(mix / gain)
        difference, masks = self._masks(spectrum, maps)
        rows = difference.shape[-2]
        spectrum = spectrum * (gain / both)[..., None]
        wanted = parts(self.spectrum.stft((ears[:, 0] - ears[:, 1]) / both)[..., :rows, :])
        measure, mixed = LOSSES[self.options.loss], parts(spectrum[..., :rows, :])
        found = {"difference": measure(parts(apply_mask(difference, spectrum)), wanted)}
        found["of_mono"] = found["difference"].detach() / measure(0 * wanted, wanted).clamp(min=1e-12)
        if masks is not None:
            left, right = (parts(apply_mask(from_parts(each), spectrum)) for each in masks)
            found["fusion"] = measure(2 * left - mixed, wanted) + measure(mixed - 2 * right, wanted)
        return found

    def _masks(self, spectrum: Tensor, maps: Tensor) -> tuple[Tensor, StereoMasks | None]:
        """The difference's, complex `(B, F, T')`, and those of left and right."""
        decoded = self.audio(parts(spectrum), maps)
        return from_parts(decoded.mask), self.fusion(decoded, maps) if self.fusion else None

    def _ears(self, mix: Tensor, difference: Tensor) -> Tensor:
        """Left and right `(B, 2, S)` of their sum and the spectrum of their difference."""
        side = self.spectrum.istft(difference, mix.shape[-1])
        return torch.stack([mix + side, mix - side], -2) / 2

    def _cut(self, frames: Tensor, rng: np.random.Generator) -> Tensor:
        """Pictures at the network's size, of a random part of them."""
        if not self.options.crop:
            return resize_frames(frames, self.size)
        rows, columns = self.size
        large = resize_frames(frames, (round(rows * ROOM), round(columns * ROOM)))
        top, left = (int(rng.integers(have - want + 1)) for have, want in zip(large.shape[-2:], self.size, strict=True))
        return large[..., top : top + rows, left : left + columns].contiguous()
