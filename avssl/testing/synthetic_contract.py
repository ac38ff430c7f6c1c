"""Contract check of synthetic datasets."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avssl.synth.dataset_base import SyntheticDataset
from avssl.synth.render_dataset import SceneDataset, SceneOptions


def check_synthetic_dataset(dataset: SyntheticDataset, folder: Path) -> Path:
    """Check a synthetic dataset against the contract of `avssl.synth.dataset_base.SyntheticDataset`.

    Constraints on its options are met, rendering twice writes the same files, and rendering again into a finished
    folder changes nothing. A data set of scenes also gives the same scene, audio and frames for an index each time, in
    the shapes and types that `SceneDataset` states; files that its options name are read first.

    Args:
        dataset: dataset with options that render in seconds.
        folder: empty folder for two renderings.

    Returns:
        Result of `render`.

    Raises:
        AssertionError: a violation of the contract.
    """
    assert is_dataclass(dataset.Options), (
        f"expected a dataclass {type(dataset).__name__}.Options, got {dataset.Options!r}"
    )
    first, other = folder / "first", folder / "other"
    if isinstance(dataset, SceneDataset):
        dataset.read_inputs(first)
    for met, text in dataset.constraints():
        assert met, f"expected options that meet the constraints, got: {text}"
    if isinstance(dataset, SceneDataset):
        first.mkdir(parents=True)
        dataset.prepare(first, progress=False)
        _check_scenes(dataset)
    result = dataset.render(first, workers=1, progress=False)
    assert result in (first, *first.rglob("*")), f"expected the manifest or the folder from render, got {result}"
    dataset.render(other, workers=1, progress=False)
    _check_same(_contents(first), _contents(other), "two renderings with the same options differ in")
    before = _contents(first)
    dataset.render(first, workers=1, progress=False)
    _check_same(before, _contents(first), "rendering again into a finished folder changed")
    return result


def _check_scenes(dataset: SceneDataset[Any]) -> None:
    lacking = {each.name for each in fields(SceneOptions)} - {each.name for each in fields(dataset.Options)}
    assert not lacking, f"expected Options with {', '.join(sorted(lacking))}, got none; inherit from SceneOptions"
    scene, again = dataset.describe(0), dataset.describe(0)
    assert scene.key != dataset.describe(1).key, (
        f"expected different keys of scenes 0 and 1, got {scene.key!r} for both"
    )
    audio, frames = dataset.audio(scene), list(dataset.frames(scene))
    _check_audio(audio, round(dataset.form.seconds * dataset.form.sample_rate))
    same = np.array_equal(audio, dataset.audio(again)) and np.array_equal(frames, list(dataset.frames(again)))
    assert same, "expected the same scene from describe(0) twice; sample from seed and index only"
    count = len(dataset.form.frame_times())
    assert len(frames) == count, f"expected {count} frames by the form, got {len(frames)}"
    for frame in frames:
        right = frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
        assert right, f"expected frames uint8 (height, width, 3), got {frame.dtype} {frame.shape}"
    rows = len(dataset.truth(scene))
    assert rows % count == 0, f"expected one row of truth for each frame and object, got {rows} rows for {count} frames"


def _check_audio(audio: np.ndarray, samples: int) -> None:
    right = audio.dtype == np.float32 and audio.ndim == 2 and audio.shape[1] == samples
    assert right, f"expected audio float32 (channels, {samples}), got {audio.dtype} {audio.shape}"
    assert np.isfinite(audio).all(), "audio contains NaN or Inf"
    assert np.abs(audio).max() <= 1, f"expected audio within -1 and 1, got a peak of {np.abs(audio).max():.3g}"


def _contents(folder: Path) -> dict[str, str]:
    """Path of each file -> hash of its contents."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _check_same(one: dict[str, str], other: dict[str, str], what: str) -> None:
    different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    assert not different, f"{what} {different[0]}" + (f" and {len(different) - 1} more" if different[1:] else "")
