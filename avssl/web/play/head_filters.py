"""Filters that decode first-order ambisonics to the ears of a head, at the sample rate of the page."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from avssl.media.hrir_files import read_hrirs
from avssl.spatial.binaural import ambisonic_filters, spherical_head
from avssl.web.play.sound_track import RATE


def head_filters(hrirs: Path | None) -> Tensor:
    """MagLS filters `(2, 4, taps)` at `RATE`.

    Args:
        hrirs: SOFA file or folder of HRIRs; None: the spherical head.

    Raises:
        InputError: no such file, or not HRIRs.
    """
    return ambisonic_filters(spherical_head(RATE) if hrirs is None else read_hrirs(hrirs).resample(RATE))
