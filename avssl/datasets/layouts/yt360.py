"""YT-360 as its authors' scripts download it (Morgado et al. 2020): 10-second clips cut from YouTube videos.

`video/{id}-{start}.mp4` and `audio/{id}-{start}.m4a`; an id is 11 characters and may contain '-'. Frames are 640x360:
2:1 equirectangular video stored as 16:9. Clips are the files that exist; the lists only define their splits.
"""

from __future__ import annotations

from pathlib import Path

from avssl.datasets.dataset import Dataset, Recording
from avssl.datasets.layout import Layout
from avssl.datasets.layouts.synthetic import set_name
from avssl.datasets.layouts.video_lists import lines
from avssl.datasets.recording_keys import safe_key, unique_keys
from avssl.errors import InputError

ID_LENGTH = 11


class Yt360(Layout):
    """YT-360 (Morgado 2020): 10 s of 360-degree video with first-order ambisonics.

    Clips with a video and an audio file, split by `train.txt` and `test.txt`.
    """

    projection = "equirect"

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Read the clips that have both files, their splits, and the names that are missing.

        Args:
            root: the folder with `video` and `audio`, or one that holds it as `data/yt360` or `yt360`; the lists lie
                in either, or beside it.
            exclude: not used; the folders are fixed.

        Raises:
            InputError: no such folders, no clip with both files, a list that cannot be read, or an id in both lists.
        """
        base = _base(root)
        videos, audio_files = (_files(base / kind, suffix) for kind, suffix in (("video", ".mp4"), ("audio", ".m4a")))
        both = sorted(videos.keys() & audio_files.keys())
        if not both:
            raise InputError(f"{base}: expected clips as video/ID-START.mp4 and audio/ID-START.m4a, no name has both")
        splits = _splits(root, base)
        missing = {
            "ids": sorted(splits.keys() - {name[:ID_LENGTH] for name in both}),
            "segments": sorted(_segments(root, base) - set(both)),
            "audio": sorted(videos.keys() - audio_files.keys()),
            "video": sorted(audio_files.keys() - videos.keys()),
        }
        recordings = [_recording(name, splits.get(name[:ID_LENGTH], "")) for name in both]
        return Dataset(set_name(base, "YT-360"), base, unique_keys(recordings), missing=missing)


def _recording(name: str, split: str) -> Recording:
    return Recording(
        safe_key(Path(name)), f"video/{name}.mp4", f"audio/{name}.m4a", split=split, projection=Yt360.projection
    )


def _base(root: Path) -> Path:
    for base in (root, root / "data" / "yt360", root / "yt360"):
        if (base / "video").is_dir() and (base / "audio").is_dir():
            return base
    raise InputError(f"{root}: expected YT-360's folders video and audio, here or in data/yt360, found neither")


def _files(folder: Path, suffix: str) -> dict[str, Path]:
    """The clips of a folder by name; other files are not YT-360's."""
    found = {path.stem: path for path in folder.iterdir() if path.suffix == suffix}
    return {name: path for name, path in found.items() if _is_clip(name)}


def _is_clip(name: str) -> bool:
    identity, dash, start = name.rpartition("-")
    return len(identity) == ID_LENGTH and bool(dash) and start.isdecimal()


def _splits(root: Path, base: Path) -> dict[str, str]:
    """Id -> split."""
    lists = {split: _lines(root, base, f"{split}.txt") for split in ("train", "test")}
    shared = sorted(set(lists["train"]) & set(lists["test"]))
    if shared:
        raise InputError(
            f"{root}: an id is in train.txt or test.txt, {shared[0]!r} is in both ({len(shared)} such ids)"
        )
    return {identity: split for split, ids in lists.items() for identity in ids}


def _segments(root: Path, base: Path) -> set[str]:
    """Names of the clips that `segments.txt` promises: lines "id t1,t2,..."."""
    promised: set[str] = set()
    for line in _lines(root, base, "segments.txt"):
        identity, *starts = line.split(maxsplit=1)
        numbers = [start.strip() for start in "".join(starts).split(",") if start.strip()]
        if len(identity) != ID_LENGTH or not all(start.isdecimal() for start in numbers):
            raise InputError(f"{root}: segments.txt has lines 'ID T1,T2,...', this is {line[:60]!r}")
        promised.update(f"{identity}-{start}" for start in numbers)
    return promised


def _lines(root: Path, base: Path, name: str) -> list[str]:
    """The lines of a list, wherever it lies; none if it is not there."""
    for folder in (root, base, base.parent, root.absolute().parent):
        if (folder / name).is_file():
            return lines(folder / name)
    return []
