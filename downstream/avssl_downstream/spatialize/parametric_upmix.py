"""Second order from first order without frames and without training, by the directions that first order tells itself.

After directional audio coding (Pulkki, "Spatial sound reproduction with directional audio coding", JAES 2007): in each
bin, W is encoded again at the direction of the active intensity.
"""

# S samples; F bins and T frames of a spectrogram

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from avssl.spatial.ambisonics import angles, gains
from avssl.spatial.stft import StftConfig

SILENT = 1e-20
"""Energy that is added to denominators."""


def parametric_upmix(audio: Tensor, stft: StftConfig) -> Tensor:
    """Nine channels of second order, the first four of which are the input.

    A bin's gains are those of its direction, times the share of its energy that has a direction: exact for one plane
    wave, 0 for a diffuse field.

    Args:
        audio: ambiX W, Y, Z, X, `(4, S)`.
        stft: of the analysis.

    Returns:
        `(9, S)`.
    """
    stft = replace(stft, pad="reflect")
    spectrum = stft.stft(audio)
    intensity = (spectrum[:1].conj() * spectrum[1:]).real
    energy = spectrum.abs().square().sum(0) / 2 + SILENT
    y, z, x = intensity
    azimuth, elevation = angles(torch.stack([x, y, z], -1))
    directed = torch.linalg.vector_norm(intensity, dim=0) / energy
    masks = gains(azimuth, elevation, order=2)[..., 4:].movedim(-1, 0) * directed
    return torch.cat([audio, stft.istft(masks * spectrum[0], audio.shape[-1])])
