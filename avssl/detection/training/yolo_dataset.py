"""Export panoramas and boxes of a synthetic dataset in YOLO format: images, labels, data.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.datasets.manifest import Manifest, Row
from avssl.detection.ground_truth import EDGES
from avssl.detection.tiling import BEYOND, wrap_pad
from avssl.media import read_frames
from avssl.media.clip_start import check_clip_start

LEAST_VISIBLE = 0.25
"""Lowest visible share of an object in the training set."""
LEAST_WITHIN = 0.3
"""Lowest share of a box's width inside the image."""
QUALITY = 95
"""JPEG quality: above that of the source video."""
DESCRIPTION = "data.yaml"


def write_panorama_set(
    folder: Path, splits: dict[str, tuple[Manifest, int]], truth: pa.Table, labels: Sequence[str]
) -> Path:
    """Write images and labels; images have the wrap padding of `avssl.detection.tiling.wrap_pad`.

    Args:
        folder: output folder.
        splits: name -> the clips, and how many panoramas are taken from them, spread evenly over clips and time.
        truth: rows of `ground_truth.COLUMNS`.
        labels: kinds by number.

    Returns:
        Path of data.yaml.
    """
    for split, (clips, count) in splits.items():
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for row, frames in _spread(clips, count):
            _write_clip(folder, split, row, clips.root, frames, truth, labels)
    note = {"path": str(folder), "names": dict(enumerate(labels))}
    note |= {split: f"images/{split}" for split in splits}
    # JSON is YAML.
    (folder / DESCRIPTION).write_text(json.dumps(note), encoding="utf-8")
    return folder / DESCRIPTION


def in_image(boxes: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Map boxes of a panorama to the wrap-padded image.

    Args:
        boxes: `(N, 4)` left, top, right, bottom in 0..1 of the panorama; right beyond 1 goes on at the left.

    Yields:
        Index of the box, and its centre and size `(4,)` in 0..1 of the image; twice for some near the seam.
    """
    for number, (left, top, right, bottom) in enumerate(boxes):
        for turn in (-1, 0, 1):
            begins, ends = max(left + turn, 0.0), min(right + turn, 1 + BEYOND)
            if ends - begins >= LEAST_WITHIN * (right - left) and ends > begins:
                x, y = (begins + ends) / 2 / (1 + BEYOND), (top + bottom) / 2
                yield number, np.array([x, y, (ends - begins) / (1 + BEYOND), bottom - top])


def _spread(clips: Manifest, count: int) -> Iterator[tuple[Row, list[int]]]:
    """Clips with the frames to take, evenly spread, at most all there are."""
    shares = np.bincount(np.arange(count) % len(clips), minlength=len(clips))
    for row, share in zip(clips, shares.tolist(), strict=True):
        frames = round(row.seconds * row.frame_rate)
        taken = min(share, frames)
        if taken:
            yield row, [int((each + 0.5) * frames / taken) for each in range(taken)]


def _write_clip(
    folder: Path, split: str, row: Row, root: Path, frames: list[int], truth: pa.Table, labels: Sequence[str]
) -> None:
    rows = truth.filter(pa.array(truth["key"].to_numpy(zero_copy_only=False) == row.key))
    check_clip_start(root / row.video, row.start)
    times = [row.start + frame / row.frame_rate for frame in frames]
    for frame, image in zip(frames, read_frames(root / row.video, times), strict=True):
        panorama = image.permute(1, 2, 0).numpy()
        shown = wrap_pad(panorama, round(panorama.shape[1] * (1 + BEYOND)))
        name = f"{row.key}-{frame:05d}"
        whole, coded = cv2.imencode(".jpg", shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        assert whole
        (folder / "images" / split / f"{name}.jpg").write_bytes(coded.tobytes())
        lines = _lines(rows.filter(pa.array(rows["frame"].to_numpy() == frame)), labels)
        (folder / "labels" / split / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def _lines(rows: pa.Table, labels: Sequence[str]) -> Iterator[str]:
    seen = rows.filter(pa.array(rows["visible"].to_numpy() >= LEAST_VISIBLE))
    kinds = seen["kind"].to_pylist()
    boxes = np.stack([seen[name].to_numpy() for name in EDGES], 1).astype(np.float64)
    for number, box in in_image(boxes):
        yield f"{labels.index(kinds[number])} " + " ".join(f"{value:.6f}" for value in box) + "\n"
