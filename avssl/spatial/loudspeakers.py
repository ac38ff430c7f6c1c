"""A first-order sound field to loudspeakers around a listener: 5.1 and 7.1, in ITU order; and to two of them."""

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
"""Half the degree of the design of virtual speakers, 1,952 of them: enough for any order."""
_CIRCLE = 360
"""Directions over whose mean the level is set."""


def layouts() -> list[str]:
    """Every arrangement that `decode` knows."""
    return list(_LAYOUTS)


def speakers(layout: str) -> list[str]:
    """Names of the channels of an arrangement, in ITU order.

    Raises:
        ValueError: an arrangement that nobody knows.
    """
    return [name for name, _ in _layout(layout)]


def decode(foa: Tensor, layout: str) -> Tensor:
    """Signals of the loudspeakers of an arrangement, by all-round ambisonic decoding (AllRAD, Zotter & Frank 2012).

    The LFE is silent: it carries effects of its own, and what is deep reaches the subwoofer by the receiver's bass
    management. A plane wave from the horizon has, on average, the energy that W has. No state: blocks of a long field
    decode to the blocks of its speakers.

    Args:
        foa: `(..., 4, samples)`, ambiX order W, Y, Z, X.
        layout: `5.1` (L R C LFE Ls Rs) or `7.1` (L R C LFE Lss Rss Lrs Rrs).

    Returns:
        `(..., 6 or 8, samples)`.

    Raises:
        ValueError: an arrangement that nobody knows, or not 4 channels.
    """
    require_foa(foa)
    return decoder(layout).to(foa) @ foa


def decoder(layout: str) -> Tensor:
    """The matrix of `decode`: float32 `(speakers, 4)`, from W, Y, Z, X."""
    _layout(layout)
    return _allrad(layout)


def downmix_stereo(foa: Tensor) -> Tensor:
    """A field `(..., 4, samples)` to an ordinary pair `(..., 2, samples)`: cardioids to the left and to the right.

    Half of W + Y and W - Y, so that no plane wave is louder than it is in W.
    """
    return stereo(foa) / 2


@lru_cache(maxsize=4)
def _allrad(layout: str) -> Tensor:
    decoding = _spaudiopy_decoding()
    angles = [angle for _, angle in _LAYOUTS[layout]]
    placed = np.radians([angle for angle in angles if angle is not None])
    # What comes from above or below is panned between real speakers and one nobody hears, in the zenith or nadir.
    poles = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, -1.0]])
    hull = decoding.LoudspeakerSetup(*np.hstack([[np.cos(placed), np.sin(placed), 0 * placed], poles]))
    hull.ambisonics_setup(characteristic_order=1, N_kernel=_ORDER)
    # spaudiopy's harmonics are orthonormal: those of order n are sqrt((2 n + 1) / 4 pi) of SN3D's.
    harmonics = np.diag(np.sqrt(np.array([1, 3, 3, 3]) / (4 * math.pi)))
    matrix = torch.zeros(len(angles), 4, dtype=torch.float64)
    matrix[[angle is not None for angle in angles]] = torch.from_numpy(decoding.allrad(harmonics, hull)[:-2])
    horizon = gains(torch.arange(_CIRCLE).double() * (2 * math.pi / _CIRCLE), 0.0)
    return (matrix / (horizon @ matrix.T).square().sum(-1).mean().sqrt()).float()


def _spaudiopy_decoding() -> Any:
    """Decoders of spaudiopy: 1.2 s, which only those wait for who decode, and a word about a sound card on the way."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        from spaudiopy import decoder as decoding
    return decoding


def _layout(name: str) -> tuple[tuple[str, float | None], ...]:
    if name not in _LAYOUTS:
        raise InputError(f"unknown loudspeakers {name!r}{hint(name, _LAYOUTS)}; {', '.join(_LAYOUTS)}")
    return _LAYOUTS[name]
