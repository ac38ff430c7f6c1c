"""Clips of a training run: from a manifest, or a synthetic dataset that is rendered once and cached."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from avssl.config import DataConfig, fill
from avssl.data.clip_options import CropOptions, check_crop_guide
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.detection.ground_truth import FILE as TRUTH_FILE
from avssl.detection.ground_truth import TRUTH
from avssl.detection.object_index import DetectionSettings, find_objects, read_objects, read_settings
from avssl.errors import InputError
from avssl.io.cache_folder import cache_folder, require_cache
from avssl.io.folder_lock import file_lock, folder_lock
from avssl.io.hashing import sha256
from avssl.synth.dataset_base import load_synthetic_dataset, require
from avssl.synth.intact_files import is_intact
from avssl.synth.render_dataset import SceneDataset, SceneOptions

logger = logging.getLogger(__name__)


def clips(
    config: DataConfig, sample_rate: int, progress: bool = True, test_share: float = SceneOptions.test_share
) -> tuple[Path, Manifest]:
    """Manifest of a run and its path; renders the synthetic dataset if none is named, and detects objects.

    Args:
        config: manifest, or size of the synthetic dataset; detector, if objects are needed.
        sample_rate: Hz of the rendered audio.
        progress: show a progress bar.
        test_share: share of the scenes of a synthetic dataset in the split test.

    Raises:
        InputError: the manifest cannot be used, see `read_manifest`; or the detector, see `detect_objects`.
    """
    path = Path(config.manifest) if config.manifest else _rendered(config, sample_rate, progress, test_share)
    manifest = read_manifest(path)
    if config.detector:
        _look_for_objects(manifest, config.detector, progress)
        _count_objects(manifest, config.detector)
    return path, manifest


def evaluation_clips(
    config: DataConfig, sample_rate: int, path: Path, manifest: Manifest, progress: bool = True
) -> tuple[Path, Manifest]:
    """Manifest whose clips of the split test evaluate a run, and its path.

    With a validation seed it is rendered: as many scenes as the synthetic dataset of the run holds out.

    Args:
        config: data config of the run.
        sample_rate: Hz of the rendered audio.
        path: manifest of the run.
        manifest: its clips.
        progress: show a progress bar.

    Raises:
        InputError: see `clips`.
    """
    if config.validation_seed is None:
        return path, manifest
    count = max(2, math.floor(config.clips * SceneOptions.test_share))
    other = replace(config, clips=count, synthetic_seed=config.validation_seed, validation_seed=None)
    return clips(other, sample_rate, progress, test_share=1.0)


def check_detector(config: DataConfig, options: Any) -> None:
    """Check a task's options against the data options, before rendering.

    Raises:
        InputError: crops are guided by objects, and no detector is named.
    """
    if isinstance(options, CropOptions):
        check_crop_guide(options, config.detector)


def training(manifest: Manifest) -> Manifest:
    """Rows of the split train, or all rows where no row has a split.

    Raises:
        InputError: rows have splits, and none is train.
    """
    splits = manifest.columns.distinct("split")
    if not any(splits):
        return manifest
    if "train" not in splits:
        raise InputError(f"{manifest.root}: no clip of split 'train', only of {splits}")
    return manifest.select("train")


def _look_for_objects(manifest: Manifest, detector: str, progress: bool) -> None:
    """Detect objects unless the file covers all clips; weights are only needed to detect."""
    from avssl.detection.detect_objects import detect_objects

    path = find_objects(manifest.root, detector)
    if _are_detected(manifest, path):
        return
    with file_lock(path, wait=True):  # another run of this manifest may be detecting them
        if not _are_detected(manifest, path):
            goes_on = path.is_file() and detector != TRUTH
            settings: dict[str, Any] = asdict(read_settings(path)[0]) if goes_on else {}
            settings.pop("model", None)
            detect_objects(manifest.root, detector, **settings, progress=progress)


def _count_objects(manifest: Manifest, detector: str) -> None:
    """Log the number of clips in which objects guide crops, unless they do in all."""
    count = read_objects(manifest.root, detector).count_clips(manifest.columns.listed("key"))
    if count < len(manifest):
        found = f"{count} of {len(manifest)} clips"
        logger.info("%s: objects of %s in %s; all crops of the others are random", manifest.root, detector, found)


def _are_detected(manifest: Manifest, path: Path) -> bool:
    """Whether a file of objects covers all clips."""
    if not path.is_file():
        return False
    detection_settings, detected_times = read_settings(path)
    return set(manifest.columns.listed("key")) <= detected_times.keys() and not _is_other_truth(
        manifest.root / TRUTH_FILE, detection_settings
    )


def _is_other_truth(path: Path, detection_settings: DetectionSettings) -> bool:
    """Whether objects are of an earlier rendering's ground truth."""
    return (
        detection_settings.model.startswith(f"{TRUTH} ")
        and path.is_file()
        and not detection_settings.model.endswith(sha256(path))
    )


def _rendered(config: DataConfig, sample_rate: int, progress: bool, test_share: float) -> Path:
    """Manifest of the synthetic dataset, rendered on first use into a folder named by all that it depends on."""
    kind = _scene_dataset(config.synthetic_dataset)
    options = _synthetic_options(kind, config, sample_rate, test_share)
    size = f"{config.clips}x{config.clip_seconds:g}s-seed{config.synthetic_seed}{'-test' if test_share == 1 else ''}"
    name = f"{config.synthetic_dataset}-{kind.version}-{size}-{config.frame_rate:g}fps-{sample_rate}Hz"
    name += _digest(kind, options) if config.synthetic_options else ""
    manifest = cache_folder() / name / "manifest.parquet"
    if _is_rendered(manifest):
        logger.debug("%s: rendered before, used again", manifest)
        return manifest
    if config.detector not in ("", TRUTH):
        from avssl.detection.backends import load_detector

        load_detector(config.detector)  # raises before minutes of rendering
    with folder_lock(require_cache(manifest.parent), wait=True):  # another run may be rendering the same
        return manifest if _is_rendered(manifest) else kind(options).render(manifest.parent, progress=progress)


def _synthetic_options(
    kind: type[SceneDataset[Any]], config: DataConfig, sample_rate: int, test_share: float
) -> SceneOptions:
    """Options of the synthetic dataset of a run.

    Raises:
        InputError: `synthetic_options` has unknown keys or values, or keys that a run has elsewhere.
    """
    where = "data.synthetic_options"
    size = {
        "clips": config.clips,
        "seconds": config.clip_seconds,
        "seed": config.synthetic_seed,
        "frame_rate": config.frame_rate,
        "sample_rate": sample_rate,
        "test_share": test_share,
    }
    for name in config.synthetic_options:
        if name in size:
            own = ", ".join(each.name for each in fields(kind.Options) if each.name not in size)
            raise InputError(f"{where}: expected options of {kind.name} besides its size and rates ({own}), got {name}")
    found: SceneOptions = fill(kind.Options, size, config.synthetic_options, where=where)
    return found


def _digest(kind: type[SceneDataset[Any]], options: SceneOptions) -> str:
    """Suffix of the folder of a dataset with options of its own: a hash of its settings, files by their contents.

    Raises:
        InputError: files that the options name cannot be used.
    """
    dataset = kind(options)
    dataset.read_inputs(cache_folder())
    require(dataset.name, dataset.constraints())
    settings = json.dumps(dataset.settings(), sort_keys=True)
    return f"-{hashlib.sha256(settings.encode()).hexdigest()[:12]}"


def _scene_dataset(name: str) -> type[SceneDataset[Any]]:
    """Class of a synthetic dataset with a manifest."""
    kind = load_synthetic_dataset(name)
    if not issubclass(kind, SceneDataset):
        raise InputError(
            f"data.synthetic_dataset: {name!r} renders no manifest; choose a synthetic dataset of scenes: synth360, ..."
        )
    return kind


def _is_rendered(manifest: Path) -> bool:
    """Whether a manifest of rendered scenes and all its files are there, none cut short as by a power cut."""
    if not is_intact(manifest):
        return False
    found = read_manifest(manifest)
    names = dict.fromkeys(each for column in ("video", "audio") for each in found.columns.distinct(column))
    return all(is_intact(found.root / name) for name in names)
