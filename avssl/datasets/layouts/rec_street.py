"""REC-STREET, YT-ALL, YT-CLEAN and YT-MUSIC (Morgado et al. 2018): 360-degree video with first-order ambisonics.

Each recording is taken at the first of three stages that has both video and audio: prepared
(`{id}-video.mp4`, `{id}-ambix.m4a`), cut up (`{id}/video/000000.jpg`, 10 per second, and `{id}/ambix/000000.wav`, one
per second), or as downloaded (`{id}.video.{ext}`, `{id}.audio.f{itag}.{ext}`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from avssl.datasets.dataset import Dataset, Recording
from avssl.datasets.layout import Layout, SplitListOptions
from avssl.datasets.layouts.files import AUDIO_SUFFIXES, VIDEO_SUFFIXES, walk
from avssl.datasets.layouts.pair_files import FRAME_RATE
from avssl.datasets.layouts.rec_street_lists import FORMATS, Lists, read_formats, read_lists
from avssl.datasets.layouts.synthetic import set_name
from avssl.datasets.recording_keys import safe_key, unique_keys
from avssl.errors import InputError

PLAIN = "MONO ER"
"""Monoscopic equirectangular video."""
FACES = "MONO EAC"
"""Monoscopic equi-angular cube map."""
CUT_VIDEO, CUT_AUDIO = "video", "ambix"
BOTH = VIDEO_SUFFIXES | AUDIO_SUFFIXES


@dataclass
class _Stage:
    """The files of each recording at one stage of preparation."""

    video: str
    """Patterns of the file names, id first."""
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


class RecStreet(Layout):
    """REC-STREET, YT-ALL, YT-CLEAN and YT-MUSIC (Morgado 2018): 360-degree video with ambisonics.

    360-degree recordings, split by a pair of lists of one of four data sets.
    """

    projection = "equirect"
    Options = SplitListOptions
    options: SplitListOptions

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Read the recordings of one data set with video and audio, their splits, and the names that are missing.

        The option `split` names the data set and its pair of lists, such as YT-Clean.2; empty: the first that names a
        recording on disk.

        Args:
            root: the folder with lists and media, which may lie in folders of it.
            exclude: folder that is not searched.

        Raises:
            InputError: no recordings, no such pair of lists, a list that cannot be read, or an id in both of a pair.
        """
        stages = _stages(root, exclude)
        videos = {each for stage in stages for each in stage.videos}
        audio_files = {each for stage in stages for each in stage.audio_files}
        lists, formats = read_lists(root, self.options.split, videos | audio_files), read_formats(root)
        wanted = set(lists.ids) or videos | audio_files
        both = sorted(wanted & videos & audio_files)
        if not both:
            raise InputError(
                f"{root}: expected recordings{lists.name and f' of {lists.name}'} with video and audio, such as "
                f"ID-video.mp4 and ID-ambix.m4a; found {len(videos)} with video and {len(audio_files)} with audio"
            )
        missing = {
            "ids": sorted(wanted - videos - audio_files),
            "audio": sorted(wanted & videos - audio_files),
            "video": sorted(wanted & audio_files - videos),
        }
        found = unique_keys([_recording(root, each, stages, lists, formats.get(each, PLAIN)) for each in both])
        return Dataset(set_name(root, "REC-STREET"), root, found, missing=missing, lists=lists.name)


def _stages(root: Path, exclude: Path | None) -> tuple[_Stage, _Stage, _Stage]:
    """Prepared, cut up, as downloaded."""
    prepared, cut = _Stage("(.+)-video", "(.+)-ambix"), _Stage("", "")
    downloaded = _Stage(r"(.+)\.video(?:\.f[\w-]+)?", r"(.+)\.audio(?:\.f[\w-]+)?")
    for folder, below, names in walk(root, exclude):
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


def _recording(
    root: Path, identity: str, stages: tuple[_Stage, _Stage, _Stage], lists: Lists, video_sources: str
) -> Recording:
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
    faces = whole is stages[-1] and video_sources == FACES
    if whole is stages[-1] and video_sources not in (PLAIN, FACES):
        problem = f"expected monoscopic video, {FORMATS} has {video_sources}; give {identity}-video.mp4"
    if not whole:
        problem = f"expected video and audio of one stage, found {videos[0]} and {audio_files[0]}"
    return Recording(
        key=safe_key(Path(identity)),
        video=str(videos[0].relative_to(root)),
        audio=str(audio_files[0].relative_to(root)),
        split=lists.splits.get(identity, ""),
        projection="eac" if faces else RecStreet.projection,
        frame_rate=FRAME_RATE,
        problem=problem,
    )
