"""Loudspeaker decoding of first-order ambisonics: 5.1, 7.1 (ITU channel order), and a stereo downmix."""

from __future__ import annotations

import math
import warnings
from contextlib import redirect_stdout
from functools import lru_cache
from io import StringIO
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avssl.errors import InputError
from avssl.plugins import hint
from avssl.spatial.ambisonics import gains, require_foa, stereo

# ITU-R BS.775 (5.1) and BS.2051 system I (7.1): degrees to the left of the front; None is the LFE.
_LAYOUTS: dict[str, tuple[tuple[str, float | None], ...]] = {
    "5.1": (("L", 30), ("R", -30), ("C", 0), ("LFE", None), ("Ls", 110), ("Rs", -110)),
    "7.1": (
        ("L", 30),
        ("R", -30),
        ("C", 0),
        ("LFE", None),
        ("Lss", 90),
        ("Rss", -90),
        ("Lrs", 135),
        ("Rrs", -135),
    ),
}
_ORDER = 30
"""Half the degree of the spherical design of virtual loudspeakers (1,952): enough for order 1."""
_CIRCLE = 360
"""Horizontal directions over which the mean level is normalised."""


def layouts() -> list[str]:
    """Loudspeaker layouts of `decode`."""
    return list(_LAYOUTS)


def speakers(layout: str) -> list[str]:
    """Channel names of a loudspeaker layout, in ITU order.

    Raises:
        ValueError: unknown layout.
    """
    return [name for name, _ in _layout(layout)]


def decode(foa: Tensor, layout: str) -> Tensor:
    """Decode to loudspeaker signals by all-round ambisonic decoding (AllRAD, Zotter & Frank 2012).

    The LFE channel is silent: low frequencies reach the subwoofer by the receiver's bass management. A plane wave from
    the horizon has, on average, the energy of W. Stateless: blocks of a long signal can be decoded separately.

    Args:
        foa: `(..., 4, samples)`, ambiX order W, Y, Z, X.
        layout: `5.1` (L R C LFE Ls Rs) or `7.1` (L R C LFE Lss Rss Lrs Rrs).

    Returns:
        `(..., 6 or 8, samples)`.

    Raises:
        ValueError: unknown layout, or not 4 channels.
    """
    require_foa(foa)
    return decoder(layout).to(foa) @ foa


def decoder(layout: str) -> Tensor:
    """Decoding matrix of `decode`: float32 `(speakers, 4)`, from W, Y, Z, X."""
    _layout(layout)
    return _allrad(layout)


def downmix_stereo(foa: Tensor) -> Tensor:
    """Downmix `(..., 4, samples)` to stereo `(..., 2, samples)`: cardioids to the left and to the right.

    Half of W + Y and W - Y, so that no plane wave exceeds its level in W.
    """
    return stereo(foa) / 2


@lru_cache(maxsize=4)
def _allrad(layout: str) -> Tensor:
    decoding = _spaudiopy_decoding()
    angles = [angle for _, angle in _LAYOUTS[layout]]
    azimuths = np.radians([angle for angle in angles if angle is not None])
    # Sources above or below are panned between real loudspeakers and a discarded one in the zenith or nadir.
    poles = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, -1.0]])
    hull = decoding.LoudspeakerSetup(*np.hstack([[np.cos(azimuths), np.sin(azimuths), 0 * azimuths], poles]))
    hull.ambisonics_setup(characteristic_order=1, N_kernel=_ORDER)
    # spaudiopy's harmonics are orthonormal: those of order n are sqrt((2 n + 1) / 4 pi) times SN3D's.
    harmonics = np.diag(np.sqrt(np.array([1, 3, 3, 3]) / (4 * math.pi)))
    matrix = torch.zeros(len(angles), 4, dtype=torch.float64)
    matrix[[angle is not None for angle in angles]] = torch.from_numpy(decoding.allrad(harmonics, hull)[:-2])
    horizon = gains(torch.arange(_CIRCLE).double() * (2 * math.pi / _CIRCLE), 0.0)
    return (matrix / (horizon @ matrix.T).square().sum(-1).mean().sqrt()).float()


def _spaudiopy_decoding() -> Any:
    """Decoders of spaudiopy; imported on use, as it takes 1.2 s and prints a message about the sound card."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        from spaudiopy import decoder as decoding
    return decoding


def _layout(name: str) -> tuple[tuple[str, float | None], ...]:
    if name not in _LAYOUTS:
        raise InputError(
            f"expected a loudspeaker layout among {', '.join(_LAYOUTS)}, got {name!r}{hint(name, _LAYOUTS)}"
        )
    return _LAYOUTS[name]
