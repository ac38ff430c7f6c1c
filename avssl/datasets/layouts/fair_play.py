"""FAIR-Play (Gao and Grauman 2019): 10-second clips of music in one room, recorded binaurally.

Sound is `binaural_audios/{id}.wav`, or Sep-Stereo's `audio_resave/{id}.mp3`, or the 16 kHz copies in `binaural16k`;
video is `videos/{id}.mp4`, or where there is none `frames/{id}` or `frames/{id}.mp4` with numbered frames, 10 per
second. Clips are split by the ten sets of `splits` (h5), by PseudoBinaural's non-overlapping ones (`new_splits`, txt),
or by any other folder of such lists; test clips that stand in other lists too are counted. A clip handed out alone is a
folder with `audio/audio.wav` and `frames`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from avssl.datasets.dataset import Dataset
from avssl.datasets.layout import Layout, SplitListOptions
from avssl.datasets.layouts.pair_files import FLAT, FRAMES, Kind, Media, gather, paired, preferred
from avssl.datasets.layouts.splits import SPLITS, choose, leakage, sets_of_lists, splits_of
from avssl.datasets.layouts.synthetic import set_name
from avssl.datasets.layouts.video_lists import clip_name
from avssl.datasets.listed_splits import SUFFIXES, listed_clips
from avssl.errors import InputError
from avssl.regular_files import open_regular, read_json

AUDIO_SUFFIXES = ("binaural_audios", "audio_resave", "binaural16k")
VIDEOS = ("videos",)
BINAURAL = Kind("binaural")


class FairPlay(Layout):
    """FAIR-Play (Gao 2019): ordinary video of music in a room with binaural audio.

    Clips with video and binaural audio, split by one of several sets of lists.
    """

    projection = FLAT
    Options = SplitListOptions
    options: SplitListOptions

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Read the clips with video and audio, their splits, the names that are missing, and leakage of the lists.

        Args:
            root: the data set, or the folder that holds it as `FAIR-Play`; one clip handed out alone, or a folder of
                such.
            exclude: folder that is not searched.

        Raises:
            InputError: no clip with both, no such set of lists, a list that cannot be read, or a clip in two of them.
        """
        base = root / "FAIR-Play" if (root / "FAIR-Play").is_dir() else root
        sets = sets_of_lists(base, SUFFIXES)
        chosen = choose(base, sets, self.options.split)
        named = {name: _named(lists) for name, lists in sets.items()}
        splits = splits_of(base / chosen, named.get(chosen, {}))
        media, name = _media(base, exclude), set_name(base, "FAIR-Play")
        found = paired(name, base, media, BINAURAL, splits, splits.keys(), chosen)
        return replace(found, leakage=leakage(named, _mono_sources(base)))


def _named(lists: Sequence[Path]) -> dict[str, set[str]]:
    """Split -> clips."""
    named: dict[str, set[str]] = {}
    for path in lists:
        named.setdefault(path.stem, set()).update(listed_clips(path))
    return named


def _mono_sources(base: Path) -> dict[str, set[str]]:
    """PseudoBinaural's lists of mono sources, "SOUND,PATCHES" a line, wherever they lie up to two folders down."""
    texts = (path for depth in ("", "*/", "*/*/") for path in sorted(base.glob(f"{depth}*.txt")))
    return {path.relative_to(base).as_posix(): listed_clips(path) for path in texts if _is_mono(path)}


def _is_mono(path: Path) -> bool:
    with open_regular(path, "a text file") as file:
        fields = file.readline(4096).decode("utf-8", "replace").split(",")
    names = {clip_name(each) for each in fields}
    return path.stem not in SPLITS and len(fields) == 2 and len(names) == 1 and names.pop().isdecimal()


def _media(base: Path, exclude: Path | None) -> Media:
    media = gather(base, exclude, str.isdecimal)
    media = replace(
        media, videos=preferred(media.videos, VIDEOS), audio_files=preferred(media.audio_files, AUDIO_SUFFIXES)
    )
    alone = Media() if media.audio_files else _alone(base)
    return alone if alone.audio_files else media


def _alone(base: Path) -> Media:
    """Clips handed out one by one."""
    media = Media()
    for folder in (base, *sorted(each for each in base.iterdir() if each.is_dir())):
        frames, audio = folder / FRAMES, folder / "audio" / "audio.wav"
        if frames.is_dir() and audio.is_file():
            name = _name(folder)
            media.frames.setdefault(name, []).append(frames)
            media.audio_files.setdefault(name, []).append(audio)
    return media


def _name(folder: Path) -> str:
    """Clip id of `meta.json`, else the folder's name."""
    note = folder / "meta.json"
    if not note.exists():
        return folder.absolute().name
    found = read_json(note, "a clip's id as 'u_id' in JSON")
    try:
        name = clip_name(str(found["u_id"]))
    except (KeyError, TypeError) as error:
        raise InputError(f"{note}: expected a clip's id as 'u_id': {error!r}") from error
    return name or folder.absolute().name
