"""REC-STREET, YT-ALL, YT-CLEAN and YT-MUSIC (Morgado et al. 2018): 360-degree videos with first-order sound.

Each recording is taken at the first of three stages that has its picture and its sound: prepared
(`{id}-video.mp4`, `{id}-ambix.m4a`), cut up (`{id}/video/000000.jpg`, 10 a second, and `{id}/ambix/000000.wav`, one a
second), or as downloaded (`{id}.video.{ext}`, `{id}.audio.f{itag}.{ext}`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from avssl.datasets.layouts.files import AUDIO_SUFFIXES, VIDEO_SUFFIXES, walk
from avssl.datasets.layouts.pair_files import FRAME_RATE
from avssl.datasets.layouts.rec_street_lists import FORMATS, Lists, read_formats, read_lists
from avssl.datasets.layouts.recording import Listing, Recording, listing, safe_key
from avssl.errors import InputError

PLAIN = "MONO ER"
"""Pictures of one eye, equirectangular."""
CUT_VIDEO, CUT_AUDIO = "video", "ambix"
BOTH = VIDEO_SUFFIXES | AUDIO_SUFFIXES


@dataclass
class _Stage:
    """The files of each recording at one stage of preparation."""

    video: str
    """What their names are, id first."""
    audio: str
    videos: dict[str, list[Path]] = field(default_factory=dict)
    audio_files: dict[str, list[Path]] = field(default_factory=dict)

    def add(self, path: Path) -> None:
        """Keep a file if its name and suffix are those of this stage."""
        for pattern, kind, suffixes in (
            (self.video, self.videos, VIDEO_SUFFIXES),
            (self.audio, self.audio_files, BOTH),
        ):
            if path.suffix.lower() in suffixes and (match := re.fullmatch(pattern, path.stem)):
                kind.setdefault(match[1], []).append(path)


def find(root: Path, leave_out: Path, split: str = "") -> Listing:
    """Every recording of a data set with picture and sound, how it is split, and what is missing.

    Args:
        root: the folder with lists and media, which may lie in folders of it.
        leave_out: a folder not to look into.
        split: the data set and its pair of lists, such as YT-Clean.2; nothing: the first of which there are recordings.

    Raises:
        InputError: no recordings, no such pair of lists, a list that cannot be read, or an id in both of a pair.
    """
    stages = _stages(root, leave_out)
    videos = {each for stage in stages for each in stage.videos}
    audio_files = {each for stage in stages for each in stage.audio_files}
    lists = read_lists(root, split, videos | audio_files)
    wanted = set(lists.ids) or videos | audio_files
    formats = read_formats(root)
    found = [
        _recording(each, stages, lists, formats.get(each, PLAIN)) for each in sorted(wanted & videos & audio_files)
    ]
    if not found:
        raise InputError(
            f"{root}: expected recordings{lists.name and f' of {lists.name}'} with picture and sound, such as "
            f"ID-video.mp4 and ID-ambix.m4a; found {len(videos)} with pictures and {len(audio_files)} with sound"
        )
    missing = {
        "ids": sorted(wanted - videos - audio_files),
        "audio": sorted(wanted & videos - audio_files),
        "video": sorted(wanted & audio_files - videos),
    }
    return listing(root, found, missing, lists.name)


def _stages(root: Path, leave_out: Path) -> tuple[_Stage, _Stage, _Stage]:
    """Prepared, cut up, as downloaded."""
    prepared, cut = _Stage("(.+)-video", "(.+)-ambix"), _Stage("", "")
    downloaded = _Stage(r"(.+)\.video(?:\.f\d+)?", r"(.+)\.audio(?:\.f\d+)?")
    for folder, below, names in walk(root, leave_out):
        if CUT_AUDIO in below:
            cut.audio_files.setdefault(folder.name, []).append(folder / CUT_AUDIO)
            if CUT_VIDEO in below:
                cut.videos.setdefault(folder.name, []).append(folder / CUT_VIDEO)
            below.clear()
            continue
        for name in names:
            prepared.add(folder / name)
            downloaded.add(folder / name)
    return prepared, cut, downloaded


def _recording(identity: str, stages: tuple[_Stage, _Stage, _Stage], lists: Lists, video_sources: str) -> Recording:
    """A recording at its first whole stage; several files of a sort, or of no one stage, are a problem."""
    whole = next((each for each in stages if identity in each.videos and identity in each.audio_files), None)
    videos = whole.videos[identity] if whole else [path for each in stages for path in each.videos.get(identity, ())]
    audio_files = (
        whole.audio_files[identity]
        if whole
        else [path for each in stages for path in each.audio_files.get(identity, ())]
    )
    twice = next((paths for paths in (videos, audio_files) if len(paths) > 1), None)
    problem = f"expected one file of this name, found {' and '.join(map(str, twice))}" if twice else ""
    if whole is stages[-1] and video_sources != PLAIN:
        problem = (
            f"expected one eye's equirectangular pictures, {FORMATS} says {video_sources}; give {identity}-video.mp4"
        )
    if not whole:
        problem = f"expected picture and sound of one stage, found {videos[0]} and {audio_files[0]}"
    return Recording(
        key=safe_key(Path(identity)),
        video=videos[0],
        audio=audio_files[0],
        split=lists.splits.get(identity, ""),
        equirect=True,
        frame_rate=FRAME_RATE,
        problem=problem,
    )
