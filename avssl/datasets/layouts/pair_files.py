"""Pairs of video and audio files by name, shared by the layouts of ordinary video."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avssl.datasets.dataset import Dataset, Recording
from avssl.datasets.layouts.files import AUDIO_SUFFIXES, VIDEO_SUFFIXES, walk
from avssl.datasets.recording_keys import safe_key, unique_keys
from avssl.errors import InputError

FLAT = "flat"
"""Projection of its frames: an ordinary field of view."""
FRAMES = "frames"
"""Name of the folder that holds the folders of numbered frames."""
FRAME_RATE = 10.0
"""Numbered frames per second, as of Mono2Binaural, Sep-Stereo and PseudoBinaural."""


@dataclass
class Media:
    """Files of each clip."""

    videos: dict[str, list[Path]] = field(default_factory=dict)
    audio_files: dict[str, list[Path]] = field(default_factory=dict)
    frames: dict[str, list[Path]] = field(default_factory=dict)
    """Folders of numbered frames."""

    def video_sources(self) -> dict[str, list[Path]]:
        """Video of each clip, or numbered frames where there is none."""
        return self.frames | self.videos


@dataclass(frozen=True)
class Kind:
    """Audio properties of a data set's clips."""

    channel_layout: str
    """stereo or binaural."""
    own_audio: bool = False
    """Use the video's own audio where there is no audio file."""


def gather(base: Path, exclude: Path | None, is_clip: Callable[[str], bool]) -> Media:
    """Find every file and folder of frames with the name of a clip.

    Args:
        base: folder to search; folders of a clip's name are not searched.
        exclude: folder that is not searched.
        is_clip: whether a name without suffix is that of a clip.
    """
    media = Media()
    for folder, below, names in walk(base, exclude):
        clips = {each: name for each in below if is_clip(name := _folder_clip(each))}
        below[:] = [each for each in below if each not in clips]
        if FRAMES in folder.relative_to(base).parts:
            _add(media.frames, {folder / each: name for each, name in clips.items()})
        files = {folder / each: Path(each).stem for each in names if is_clip(Path(each).stem)}
        for kind, suffixes in ((media.videos, VIDEO_SUFFIXES), (media.audio_files, AUDIO_SUFFIXES)):
            _add(kind, {path: name for path, name in files.items() if path.suffix.lower() in suffixes})
    return media


def preferred(found: Mapping[str, Sequence[Path]], folders: Sequence[str]) -> dict[str, list[Path]]:
    """Files of each clip from the first of some folders that has any; clips without any are left out."""
    chosen = {}
    for name, paths in found.items():
        ranked = ([path for path in paths if path.parent.name == folder] for folder in folders)
        if best := next((each for each in ranked if each), None):
            chosen[name] = best
    return chosen


def paired(
    name: str,
    base: Path,
    media: Media,
    kind: Kind,
    splits: Mapping[str, str],
    listed: Collection[str],
    lists: str = "",
) -> Dataset:
    """Recordings of the clips with video and audio, and the names of the others.

    Args:
        name: title of the data set.
        base: the data set.
        media: its files.
        kind: what is said of its clips.
        splits: clip -> split.
        listed: the clips that its lists name.
        lists: which of several sets of lists was used.

    Raises:
        InputError: no clip has both.
    """
    video_sources, audio_files = media.video_sources(), media.audio_files
    if kind.own_audio:
        audio_files = media.videos | audio_files
    both = sorted(video_sources.keys() & audio_files.keys())
    if not both:
        raise InputError(f"{base}: expected clips with video and audio of one name, found {_counted(media)}")
    missing = {
        "clips": sorted(set(listed) - video_sources.keys() - audio_files.keys()),
        "audio": sorted(video_sources.keys() - audio_files.keys()),
        "video": sorted(audio_files.keys() - video_sources.keys()),
    }
    recordings = [
        _recording(base, clip, video_sources[clip], audio_files[clip], kind, splits.get(clip, "")) for clip in both
    ]
    return Dataset(name, base, unique_keys(recordings), missing=missing, lists=lists)


def _recording(
    base: Path, name: str, video_sources: Sequence[Path], audio_files: Sequence[Path], kind: Kind, split: str
) -> Recording:
    """A clip by its files; several of a sort are a problem, not a choice."""
    twice = next((paths for paths in (video_sources, audio_files) if len(paths) > 1), None)
    return Recording(
        key=safe_key(Path(name)),
        video=str(video_sources[0].relative_to(base)),
        audio=str(audio_files[0].relative_to(base)),
        split=split,
        projection=FLAT,
        channel_layout=kind.channel_layout,
        frame_rate=FRAME_RATE,
        problem=f"expected one file of this name, found {' and '.join(map(str, twice))}" if twice else "",
    )


def _folder_clip(folder: str) -> str:
    """The clip of a folder: named as the clip, as its video or sound file, or with `folder_` before it."""
    path = Path(folder)
    name = path.stem if path.suffix.lower() in VIDEO_SUFFIXES | AUDIO_SUFFIXES else folder
    return name.removeprefix("folder_")


def _add(kind: dict[str, list[Path]], found: Mapping[Path, str]) -> None:
    for path, name in found.items():
        kind.setdefault(name, []).append(path)


def _counted(media: Media) -> str:
    return f"{len(media.videos)} videos, {len(media.frames)} folders of frames and {len(media.audio_files)} sound files"
