"""TAU Urban Audio-Visual Scenes 2021 (Wang et al. 2021): ten seconds of ten urban scenes, seen and heard by two ears.

Files are `audio/{scene}-{city}-{location}-{segment}.wav` and `video/....mp4`; `evaluation_setup/fold1_train.csv`,
`fold1_test.csv` (no labels) and `fold1_evaluate.csv` (the same with labels) name them, separated by tabs.
"""

from __future__ import annotations

import logging
from pathlib import Path, PurePosixPath

from avssl.config import check_choice
from avssl.datasets.labelled_dataset import Example, Fold, Labelled, check_missing
from avssl.datasets.layouts.synthetic import set_name
from avssl.datasets.layouts.video_lists import table
from avssl.errors import InputError, MissingFileError
from avssl.media.streams import AudioReader

logger = logging.getLogger(__name__)

NAME = "TAU Urban Audio-Visual Scenes 2021"
FOLDER = "TAU-urban-audio-visual-scenes-2021-development"
SETUP = "evaluation_setup"
CLASSES = (
    "airport", "bus", "metro", "metro_station", "park", "public_square", "shopping_mall", "street_pedestrian",
    "street_traffic", "tram",
)  # fmt: skip
SECONDS = 10.0
"""Of each file."""
RATE = 48000
"""Hz of the official files."""

Rows = list[dict[str, str]]


def find(
    root: Path,
    towers: tuple[str, ...] = ("audio", "video"),
    missing: float = 0.0,
    seconds: float = SECONDS,
    check_rates: bool = False,
) -> Labelled:
    """What the fold files name, those files that are there; no more than headers are read.

    Args:
        root: the development set's folder, or one that holds it.
        towers: which of audio and video must be there.
        missing: so large a share of the files named may be missing.
        seconds: length of every file.
        check_rates: read the header of each audio file, and log how many will be resampled.

    Raises:
        FileNotFoundError: no such folder, or no fold files in it.
        InputError: more missing than allowed, a list or a sound that cannot be read, or a label that the set does not
            have.
    """
    base = root / FOLDER if (root / FOLDER).is_dir() else root
    lists = _lists(base)
    rows = {fold: tuple(map(_read, pair)) for fold, pair in lists.items()}
    examples, absent = _examples(
        base, [row for pair in rows.values() for part in pair for row in part], towers, seconds
    )
    folds = tuple(Fold(fold, *(_keys(part, examples) for part in pair)) for fold, pair in rows.items())
    found = Labelled(set_name(root, NAME), base, CLASSES, tuple(examples.values()), folds, tuple(absent))
    check_missing(found, missing, str(base / SETUP))
    for fold in folds:
        if not fold.train or not fold.test:
            raise InputError(
                f"{base}: {fold.name} has {len(fold.train)} files to train on and {len(fold.test)} to test"
            )
    if check_rates and "audio" in towers:
        _log_rates(found)
    return found


def _log_rates(found: Labelled) -> None:
    rates = {each.audio: AudioReader(found.root / each.audio).sample_rate for each in found.examples}
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
    for row in found:
        row["label"] = row["label"] or _key(row["audio"]).split("-")[0]
        check_choice(f"{path}: the scene", row["label"], CLASSES)
    return found


def _row(row: dict[str, str]) -> dict[str, str]:
    names = {"filename_audio": "audio", "filename_video": "video", "scene_label": "label"}
    return {names[key]: value for key, value in row.items() if key in names}


def _key(audio: str) -> str:
    return PurePosixPath(audio).stem


def _examples(base: Path, rows: Rows, towers: tuple[str, ...], seconds: float) -> tuple[dict[str, Example], list[str]]:
    """Key -> what is there of it, and the files that are not."""
    found: dict[str, Example] = {}
    absent: dict[str, None] = {}
    for row in rows:
        lacking = [row[tower] or f"video of {row['audio']}" for tower in towers if not _is_there(base, row[tower])]
        key = _key(row["audio"])
        absent |= dict.fromkeys(lacking)
        if not lacking:
            place = "-".join(key.split("-")[1:3]) or key
            found[key] = Example(key, row["label"], row["video"], row["audio"], seconds=seconds, group=place)
    return found, list(absent)


def _is_there(base: Path, name: str) -> bool:
    return bool(name) and (base / name).is_file()


def _keys(rows: Rows, examples: dict[str, Example]) -> tuple[str, ...]:
    return tuple(key for row in rows if (key := _key(row["audio"])) in examples)
