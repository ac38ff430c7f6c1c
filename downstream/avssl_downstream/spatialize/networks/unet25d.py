"""U-Net of 2.5D Visual Sound (Gao & Grauman, CVPR 2019), also used by Sep-Stereo and PseudoBinaural."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.errors import InputError
from avssl_downstream.spatialize.networks.audio_branch import resample_steps

# B windows, C channels and h, w rows and columns of visual feature maps, F bins and T frames of a spectrogram

HALVINGS = 5
NORMS: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}


class DecoderOutput(NamedTuple):
    """Output of the decoder."""

    mask: Tensor
    """`(B, 2, F', T)` in -1..1: real and imaginary part of the mask from the mix, left plus right, to left minus right;
    `F'` is `F` rounded down to a multiple of 32."""
    levels: tuple[Tensor, Tensor, Tensor, Tensor]
    """Feature maps of the first four decoder layers, for APNet: `(B, 8 width, F' / 16, T / 16)` to
    `(B, width, F' / 2, T / 2)`."""


class UNet25D(nn.Module):
    """Five halvings of a mix's spectrogram and five doublings, conditioned on visual features at the smallest map.

    23,086,234 parameters at the default sizes, named as in the published checkpoints. The position of a cell in the
    frame is encoded only by its index in the flattened vector.

    Args:
        width: channels after the first halving; 64 in the paper, 16 for two CPU cores.
        visual_channels: C, of the visual feature maps.
        grid: rows and columns to which feature maps are pooled; 7 x 14 for 224 x 448 pixels.
        norm: `batch`, or `instance`, as in PseudoBinaural for batches of real and pseudo-binaural audio.
        audio: channels of the features of an audio tower, concatenated at the smallest map; the papers have none.

    Raises:
        ValueError: another norm.
    """

    def __init__(
        self,
        width: int = 64,
        visual_channels: int = 512,
        grid: tuple[int, int] = (7, 14),
        norm: str = "batch",
        audio: int = 0,
    ) -> None:
        super().__init__()
        self.grid = grid
        seen = 8 * grid[0] * grid[1]
        self.audionet_convlayer1 = down(2, width, norm)
        self.audionet_convlayer2 = down(width, width * 2, norm)
        self.audionet_convlayer3 = down(width * 2, width * 4, norm)
        self.audionet_convlayer4 = down(width * 4, width * 8, norm)
        self.audionet_convlayer5 = down(width * 8, width * 8, norm)
        self.audionet_upconvlayer1 = up(seen + width * 8 + audio, width * 8, norm)
        self.audionet_upconvlayer2 = up(width * 16, width * 4, norm)
        self.audionet_upconvlayer3 = up(width * 8, width * 2, norm)
        self.audionet_upconvlayer4 = up(width * 4, width, norm)
        self.audionet_upconvlayer5 = output_layer(width * 2, 2)
        self.conv1x1 = nn.Sequential(nn.Conv2d(visual_channels, 8, 1), _norm(norm, 8), nn.ReLU())
        self.apply(init_weights)

    def forward(self, mix: Tensor, maps: Tensor, audio: Tensor | None = None) -> DecoderOutput:
        """The mask of the difference, and feature maps of the decoder.

        Args:
            mix: real and imaginary part of the spectrum of left plus right, `(B, 2, F, T)`; (2, 257, 64) in the paper.
            maps: visual feature maps, `(B, C, h, w)`.
            audio: features of an audio tower, see `AudioBranch.forward`.

        Raises:
            ValueError: `F` below 32, or `T` no multiple of 32.
        """
        _check(mix)
        d1 = self.audionet_convlayer1(mix)
        d2 = self.audionet_convlayer2(d1)
        d3 = self.audionet_convlayer3(d2)
        d4 = self.audionet_convlayer4(d3)
        d5 = self.audionet_convlayer5(d4)
        joined = [self._tiled(maps, d5), d5]
        if audio is not None:
            joined.append(resample_steps(audio, d5.shape[-1])[:, :, None].expand(-1, -1, d5.shape[-2], -1))
        u1 = self.audionet_upconvlayer1(torch.cat(joined, 1))
        u2 = self.audionet_upconvlayer2(torch.cat([u1, d4], 1))
        u3 = self.audionet_upconvlayer3(torch.cat([u2, d3], 1))
        u4 = self.audionet_upconvlayer4(torch.cat([u3, d2], 1))
        mask = self.audionet_upconvlayer5(torch.cat([u4, d1], 1)) * 2 - 1
        return DecoderOutput(mask, (u1, u2, u3, u4))

    def _tiled(self, maps: Tensor, like: Tensor) -> Tensor:
        """Visual features as one vector, tiled over an audio feature map."""
        cells: Tensor = self.conv1x1(functional.adaptive_avg_pool2d(maps, self.grid))
        return cells.flatten(1)[:, :, None, None].expand(-1, -1, *like.shape[-2:])


def down(channels_in: int, channels: int, norm: str) -> nn.Sequential:
    """Halve a map: convolution, norm, leaky ReLU."""
    return nn.Sequential(nn.Conv2d(channels_in, channels, 4, 2, 1), _norm(norm, channels), nn.LeakyReLU(0.2))


def up(channels_in: int, channels: int, norm: str) -> nn.Sequential:
    """Double a map: transposed convolution, norm, ReLU."""
    return nn.Sequential(nn.ConvTranspose2d(channels_in, channels, 4, 2, 1), _norm(norm, channels), nn.ReLU())


def output_layer(channels_in: int, channels: int) -> nn.Sequential:
    """Double a map, with outputs in 0..1."""
    return nn.Sequential(nn.ConvTranspose2d(channels_in, channels, 4, 2, 1), nn.Sigmoid())


def init_weights(module: nn.Module) -> None:
    """Initialise one layer as the published code does: standard deviation 0.02, around 1 in norms."""
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def _norm(name: str, channels: int) -> nn.Module:
    if name not in NORMS:
        raise InputError(f"expected a norm {' or '.join(NORMS)}, got {name!r}")
    return NORMS[name](channels)


def _check(mix: Tensor) -> None:
    step = 2**HALVINGS
    if mix.ndim != 4 or mix.shape[1] != 2 or mix.shape[2] < step or not mix.shape[3] or mix.shape[3] % step:
        raise ValueError(
            f"expected spectra (windows, 2, bins, frames) with at least {step} bins and a multiple of {step} frames, "
            f"got {tuple(mix.shape)}"
        )
