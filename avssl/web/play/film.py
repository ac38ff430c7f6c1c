"""A film as the player shows it: its picture, its projection, its sound tracks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from avssl.errors import InputError, MissingFileError
from avssl.media.probe import probe
from avssl.media.projection_check import check_equirect, check_flat
from avssl.media.video_reader import VideoReader
from avssl.printable_text import printable
from avssl.regular_files import check_regular
from avssl.web.play.browser_video import browser_video
from avssl.web.play.overlays import NO_OVERLAYS, Overlays
from avssl.web.play.sound_track import SoundTrack, check_layout, open_track

PROJECTIONS = ("auto", "equirect", "flat")
OWN = "recorded"
"""Name of the sound track of the film's own file."""
LIMIT = 9
"""Sound tracks of a film: a key of the keyboard each."""


@dataclass(frozen=True)
class Film:
    """One film of the page."""

    title: str
    path: Path
    video: VideoReader | None
    """None: sound alone."""
    played: Path | None
    """File that the browser plays; None: sound alone."""
    panoramic: bool
    """Equirectangular, else flat."""
    tracks: tuple[SoundTrack, ...]
    seconds: float
    """Length of the longest of picture and sound tracks, by their headers."""
    overlays: Overlays = field(default=NO_OVERLAYS)


def open_film(
    path: Path,
    folder: Path,
    *,
    tracks: Mapping[str, Path] | None = None,
    projection: str = "auto",
    layout: str = "auto",
    overlays: Overlays = NO_OVERLAYS,
    progress: bool = True,
) -> Film:
    """Open a film for the player.

    Args:
        path: any file with video or audio that FFmpeg or libsndfile reads.
        folder: temporary, for a video that browsers play.
        tracks: name -> file of further sound tracks of the same film.
        projection: one of `PROJECTIONS`; auto: by header and aspect ratio.
        layout: channel layout of the sound tracks; auto, or a name of `open_track`.
        overlays: objects and crops.
        progress: show a progress bar while a film is converted.

    Raises:
        MissingFileError: a file is not there.
        InputError: neither video nor audio, another projection, or audio of another layout.
    """
    check_layout(layout)
    check_regular(path, "a film")
    info = probe(path)
    video = VideoReader(path) if info.videos else None
    panoramic = _is_panoramic(video, projection)
    named = _named(path, bool(info.audio_streams), tracks or {})
    opened = tuple(open_track(name, file, layout, panoramic) for name, file in named.items())
    played = None if video is None else browser_video(path, video, folder, progress)
    lengths = [each.seconds for each in opened] + ([] if video is None else [float(video.seconds or video.length())])
    return Film(printable(path.name), path, video, played, panoramic, opened, max(lengths), overlays)


def _named(path: Path, audible: bool, tracks: Mapping[str, Path]) -> dict[str, Path]:
    """Name -> file of all sound tracks."""
    if OWN in tracks and audible:
        raise InputError(f"--track {OWN}: expected another name, the sound of {path} has this one; rename it")
    named = ({OWN: path} if audible else {}) | dict(tracks)
    if len(named) > LIMIT:
        raise InputError(f"expected at most {LIMIT} sound tracks of a film, got {len(named)}; leave some out")
    for file in named.values():
        if not file.exists():
            raise MissingFileError(f"{file}: expected a sound track, there is no such file")
    return named


def _is_panoramic(video: VideoReader | None, projection: str) -> bool:
    """Whether the frames are equirectangular; sound alone is looked around in too."""
    if video is None:
        return projection != "flat"
    try:
        if projection == "flat":
            return False
        check_equirect(video, declared=projection == "equirect", vouched=False)
    except InputError as error:
        if projection == "equirect" or video.projection or video.stereo:
            return _flat_or_refused(video, error, projection)
        return False
    return True


def _flat_or_refused(video: VideoReader, error: InputError, projection: str) -> bool:
    """False for frames whose header declares them rectilinear; other projections are an error."""
    try:
        if projection == "auto":
            check_flat(video)
            return False
    except InputError:
        pass
    raise InputError(
        f"{video.path}: {error}; declare --projection flat to see them as they are, or convert them with avssl prepare"
    ) from error
