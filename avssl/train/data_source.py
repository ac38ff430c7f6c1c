"""Where a run's clips come from: a manifest, or the built-in world, rendered once and kept."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from avssl.config import DataConfig
from avssl.data.clip_options import CropOptions, check_crop_guide
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.detection.ground_truth import FILE as TRUTH_FILE
from avssl.detection.ground_truth import TRUTH
from avssl.detection.object_index import DetectionSettings, find_objects, read_settings
from avssl.errors import InputError
from avssl.io.cache_folder import cache_folder
from avssl.io.hashing import sha256
from avssl.synth.dataset_base import load_synthetic_dataset
from avssl.synth.render_dataset import SceneDataset

logger = logging.getLogger(__name__)


def clips(config: DataConfig, sample_rate: int, progress: bool = True) -> tuple[Path, Manifest]:
    """The manifest of a run and its path; renders the built-in world if none is named, and looks for objects in it.

    Args:
        config: names the manifest, or says how large the world is; names the detector, if objects are wanted.
        sample_rate: Hz of the world's sound.
        progress: show what is being rendered.

    Raises:
        InputError: the manifest cannot be used, see `read_manifest`; or the detector, see `detect_objects`.
    """
    path = Path(config.manifest) if config.manifest else _rendered(config, sample_rate, progress)
    manifest = read_manifest(path)
    if config.detector:
        _look_for_objects(manifest, config.detector, progress)
    return path, manifest


def check(config: DataConfig, options: Any) -> None:
    """See before anything is rendered that the clips will have what a task's options ask of them.

    Raises:
        InputError: crops are guided by objects, and no detector is named.
    """
    if isinstance(options, CropOptions):
        check_crop_guide(options, config.detector)


def training(manifest: Manifest) -> Manifest:
    """The rows of the split train, or all rows where nothing is labelled.

    Raises:
        InputError: rows are labelled, and none is train.
    """
    if not any(row.split for row in manifest):
        return manifest
    chosen = manifest.select("train")
    if not len(chosen):
        raise InputError(
            f"{manifest.root}: no clip of split 'train', only of {sorted({row.split for row in manifest})}"
        )
    return chosen


def _look_for_objects(manifest: Manifest, detector: str, progress: bool) -> None:
    """See that the objects of all clips are known; weights need not be here if they are."""
    from avssl.detection.detect_objects import detect_objects

    path = find_objects(manifest.root, detector)
    settings: dict[str, Any] = {}
    if path.is_file():
        about, looked = read_settings(path)
        if {row.key for row in manifest} <= looked.keys() and not _is_other_truth(manifest.root / TRUTH_FILE, about):
            return
        if detector != TRUTH:
            settings = {name: getattr(about, name) for name in ("rate", "views", "min_score", "frames")}
    detect_objects(manifest.root, detector, **settings, progress=progress)


def _is_other_truth(path: Path, about: DetectionSettings) -> bool:
    """Whether objects are of an earlier truth of a world that was rendered again."""
    return about.model.startswith(f"{TRUTH} ") and path.is_file() and not about.model.endswith(sha256(path))


def _rendered(config: DataConfig, sample_rate: int, progress: bool) -> Path:
    """Manifest of the synthetic dataset, rendered on first use into a folder named by all that it depends on."""
    kind = _scene_dataset(config.synthetic_dataset)
    size = f"{config.clips}x{config.clip_seconds:g}s-seed{config.synthetic_seed}"
    name = f"{config.synthetic_dataset}-{kind.version}-{size}-{config.frame_rate:g}fps-{sample_rate}Hz"
    manifest = cache_folder() / name / "manifest.parquet"
    if manifest.is_file():
        logger.debug("%s: rendered before, used again", manifest)
        return manifest
    if config.detector not in ("", TRUTH):
        from avssl.detection.backends import load_detector

        load_detector(config.detector)  # says what is wrong with it before minutes of rendering
    options = kind.Options(
        clips=config.clips,
        seconds=config.clip_seconds,
        seed=config.synthetic_seed,
        frame_rate=config.frame_rate,
        sample_rate=sample_rate,
    )
    return kind(options).render(manifest.parent, progress=progress)


def _scene_dataset(name: str) -> type[SceneDataset[Any]]:
    """Class of a synthetic dataset with a manifest."""
    kind = load_synthetic_dataset(name)
    if not issubclass(kind, SceneDataset):
        raise InputError(
            f"data.synthetic_dataset: {name!r} renders no manifest; choose a synthetic dataset of scenes: synth360, ..."
        )
    return kind
