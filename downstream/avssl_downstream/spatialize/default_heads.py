"""Fitted generators that come with avssl: one for 360-degree films, one for films of an ordinary field of view."""

from __future__ import annotations

from pathlib import Path

from avssl import plugins
from avssl.errors import InputError
from avssl.io.live_paths import is_live
from avssl.media.projection_check import check_equirect
from avssl.media.video_reader import VideoReader

PANORAMIC, FLAT = "foa360-small", "mono_to_3d-small"
"""Names of the entry-point group `avssl.heads`."""


def default_head(source: Path, *, declared: bool = False) -> str:
    """Name of the generator for a film; empty where the package holds none, and for streams and files without video.

    Args:
        source: the film.
        declared: the user declares it equirectangular.
    """
    if is_live(source) or not source.is_file():
        return ""
    try:
        name = PANORAMIC if _is_panoramic(VideoReader(source), declared) else FLAT
    except InputError:
        return ""
    return name if name in plugins.names(plugins.FITTED_HEADS) else ""


def _is_panoramic(video: VideoReader, declared: bool) -> bool:
    try:
        check_equirect(video, declared=declared, vouched=False)
    except InputError:
        return False
    return True
