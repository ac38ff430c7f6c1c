"""TAU Urban Audio-Visual Scenes 2021 (Wang et al. 2021): 10 s clips of ten urban scenes, video and binaural audio.

Files are `audio/{scene}-{city}-{location}-{segment}.wav` and `video/....mp4`; `evaluation_setup/fold1_train.csv`,
`fold1_test.csv` (no labels) and `fold1_evaluate.csv` (the same with labels) name them, separated by tabs.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avssl.config import check_choice
from avssl.datasets.dataset import Dataset, Fold, Recording, check_missing
from avssl.datasets.layout import FileListOptions, Layout
from avssl.datasets.layouts.synthetic import set_name
from avssl.datasets.layouts.video_lists import table
from avssl.errors import InputError, MissingFileError
from avssl.io.listed_names import check_inside
from avssl.media.streams import AudioReader
from avssl.regular_files import is_regular

logger = logging.getLogger(__name__)

NAME = "TAU Urban Audio-Visual Scenes 2021"
FOLDER = "TAU-urban-audio-visual-scenes-2021-development"
SETUP = "evaluation_setup"
CLASSES = (
    "airport", "bus", "metro", "metro_station", "park", "public_square", "shopping_mall", "street_pedestrian",
    "street_traffic", "tram",
)  # fmt: skip
SECONDS = 10.0
"""Length of each file, s."""
RATE = 48000
"""Hz of the official files."""

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class TauOptions(FileListOptions):
    """Required files, and their length."""

    media: tuple[str, ...] = ("audio", "video")
    """Files that a clip must have: audio, video, or both."""
    seconds: float = SECONDS
    """Length of every file."""


class Tau(Layout):
    """TAU Urban Audio-Visual Scenes 2021 (Wang 2021): ten urban scenes, ordinary video, binaural audio.

    Clips with class, place as group, and the official fold.
    """

    projection = "flat"
    Options = TauOptions
    options: TauOptions

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Read the fold files and find the media that they name; opens the headers of audio files.

        Logs if audio files have another sample rate than TAU's.

        Args:
            root: the development set's folder, or one that holds it.
            exclude: not used; the folders are fixed.

        Raises:
            FileNotFoundError: no such folder, or no fold files in it.
            InputError: more missing than allowed, a list or an audio file that cannot be read, or a label that the set
                does not have.
        """
        base = root / FOLDER if (root / FOLDER).is_dir() else root
        rows = {fold: tuple(map(_read, pair)) for fold, pair in _lists(base).items()}
        recordings, absent = _recordings(base, [row for pair in rows.values() for part in pair for row in part],
                                         self.options)  # fmt: skip
        folds = tuple(Fold(fold, *(_keys(part, recordings) for part in pair)) for fold, pair in rows.items())
        clips = tuple(recordings.values())
        found = Dataset(set_name(root, NAME), base, clips, CLASSES, folds, {"files": tuple(absent)})
        check_missing(found, self.options.missing, str(base / SETUP))
        _check_folds(found)
        if "audio" in self.options.media:
            _log_rates(found)
        return found


def _check_folds(found: Dataset) -> None:
    for fold in found.folds:
        if not fold.train or not fold.test:
            raise InputError(
                f"{found.root}: {fold.name} has {len(fold.train)} files to train on and {len(fold.test)} to test"
            )


def _log_rates(found: Dataset) -> None:
    rates = {each.audio: AudioReader(found.root / each.audio).sample_rate for each in found.recordings}
    if others := [name for name, rate in rates.items() if rate != RATE]:
        first = f"{others[0]}: {rates[others[0]]} Hz"
        message = "%s: %d of %d audio files are not at TAU's %d Hz: they are resampled (%s)"
        logger.info(message, found.root, len(others), len(rates), RATE, first)


def _lists(base: Path) -> dict[str, tuple[Path, Path]]:
    """Fold -> its list to train on and its list to test: the one with labels, if it is there."""
    setup = base / SETUP
    found = {}
    for train in sorted(setup.glob("fold*_train.csv")):
        fold = train.name.removesuffix("_train.csv")
        tests = [setup / f"{fold}_{kind}.csv" for kind in ("evaluate", "test")]
        test = next((each for each in tests if each.is_file()), None)
        if test is None:
            raise MissingFileError(f"{tests[0]}: expected the files that {fold} tests, there is no such list")
        found[fold] = (train, test)
    if not found:
        raise MissingFileError(f"{setup / 'fold1_train.csv'}: expected the official list of files, there is none")
    return found


def _read(path: Path) -> Rows:
    """Rows of a list by the names in its first line."""
    head, *rows = table(path, "\t") or [[]]
    if "filename_audio" not in head:
        raise InputError(f"{path}: expected columns filename_audio, filename_video, scene_label, got {head}")
    if wrong := next((row for row in rows if len(row) < len(head)), None):
        raise InputError(f"{path}: expected {len(head)} columns separated by tabs, got {wrong}")
    found = [{"label": "", "video": "", **_row(dict(zip(head, row, strict=False)))} for row in rows]
    check_inside((row[kind] for row in found for kind in ("audio", "video")), path)
    for row in found:
        row["label"] = row["label"] or _key(row["audio"]).split("-")[0]
        check_choice(f"{path}: the scene", row["label"], CLASSES)
    return found


def _row(row: dict[str, str]) -> dict[str, str]:
    names = {"filename_audio": "audio", "filename_video": "video", "scene_label": "label"}
    return {names[key]: value for key, value in row.items() if key in names}


def _key(audio: str) -> str:
    return PurePosixPath(audio).stem


def _recordings(base: Path, rows: Rows, options: TauOptions) -> tuple[dict[str, Recording], list[str]]:
    """Key -> its clip, and the names of missing files."""
    found: dict[str, Recording] = {}
    absent: dict[str, None] = {}
    for row in rows:
        lacking = [
            row[tower] or f"video of {row['audio']}" for tower in options.media if not _is_there(base, row[tower])
        ]
        key = _key(row["audio"])
        absent |= dict.fromkeys(lacking)
        if lacking:
            continue
        clip = _recording(key, row, options.seconds)
        if found.setdefault(key, clip).audio != clip.audio:
            raise InputError(
                f"{base / SETUP}: expected a name of its own for each clip, got {found[key].audio} and {clip.audio}"
            )
        found[key] = clip
    return found, list(absent)


def _recording(key: str, row: dict[str, str], seconds: float) -> Recording:
    return Recording(
        key,
        row["video"],
        row["audio"],
        seconds=seconds,
        label=row["label"],
        group="-".join(key.split("-")[1:3]) or key,
        projection="flat",
        channel_layout="binaural",
    )


def _is_there(base: Path, name: str) -> bool:
    return bool(name) and is_regular(base / name)


def _keys(rows: Rows, recordings: dict[str, Recording]) -> tuple[str, ...]:
    return tuple(key for row in rows if (key := _key(row["audio"])) in recordings)
