"""Background behind patches: blank, drawn, or a user image; and blending of patches with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.errors import InputError
from avssl.media.image_sequence import SUFFIXES, decoded
from avssl.synth.backgrounds import draw_background
from avssl.synth.canvas.compositing import Canvas, Spot, lay, paste

Image = NDArray[np.uint8]

BLANK, DRAWN = "blank", "drawn"
BLENDS = ("poisson", "paste")
_MARGIN = 2
"""Margin around the canvas for blending patches at its edge, pixels."""
_LEAST = 6
"""Minimum side of a patch with an interior to blend, pixels."""


@dataclass(frozen=True)
class Backdrop:
    """Background behind patches."""

    name: str = BLANK
    """blank, drawn, or the path of an image or of a folder of images."""
    blend: str = "poisson"
    """One of `BLENDS`; over nothing, patches are pasted."""

    def draw(self, seed: int, form: Canvas) -> Image:
        """uint8 RGB `(height, width, 3)`; of a picture, a random part of the canvas's shape."""
        if self.name == BLANK:
            return np.zeros((form.height, form.width, 3), np.uint8)
        if self.name == DRAWN:
            return draw_background(seed, form.lens())
        rng = np.random.default_rng(seed)
        files = frames(Path(self.name))
        return _part(_read(files[int(rng.integers(len(files)))]), rng, form)

    def put(self, frame: Image, image: Image, spot: Spot, light: float) -> None:
        """Lay a picture over a frame, in place."""
        if self.blend == "paste" or self.name == BLANK:
            paste(frame, image, spot, light)
        else:
            clone(frame, image, spot, light)

    def settings(self) -> dict[str, object]:
        """Settings that the images depend on; files by content hash."""
        name = self.name
        if name not in (BLANK, DRAWN):
            name = hashlib.sha256(b"".join(path.read_bytes() for path in frames(Path(name)))).hexdigest()[:16]
        return {"background": name, "blend": self.blend}


def frames(path: Path) -> tuple[Path, ...]:
    """A picture, or those of a folder.

    Raises:
        InputError: there is none.
    """
    found = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    if not found or not all(each.is_file() for each in found):
        raise InputError(f"{path}: expected {BLANK}, {DRAWN}, an image or a folder of images as a background")
    return tuple(found)


def clone(frame: Image, image: Image, spot: Spot, light: float = 1.0) -> None:
    """Blend a picture into a frame, in place, so that its gradients stay and its edges are the frame's.

    Pérez, Gangnet, Blake: "Poisson image editing", SIGGRAPH 2003, as OpenCV solves it.

    Args:
        frame: uint8 `(height, width, 3)`.
        image: uint8 `(side, side, 4)`, colour multiplied by alpha.
        spot: where it lies.
        light: multiplies the colours.
    """
    piece = lay(image, spot, (frame.shape[0], frame.shape[1]))
    if piece is None:
        return
    mask = (piece.pixels[..., 3] > 127).astype(np.uint8) * 255
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) < 1 or min(np.ptp(rows), np.ptp(columns)) + 1 < _LEAST:
        paste(frame, image, spot, light)
        return
    solid = np.maximum(piece.pixels[..., 3:].astype(np.float32) / 255, 1 / 255)
    colour = np.clip(piece.pixels[..., :3] / solid * np.float32(light), 0, 255).astype(np.uint8)
    inside = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    # The solver needs a margin at the edges, and the centre of the mask.
    wide = cv2.copyMakeBorder(frame, _MARGIN, _MARGIN, _MARGIN, _MARGIN, cv2.BORDER_REPLICATE)
    left, top = piece.columns.start + columns[0] + _MARGIN, piece.rows.start + rows[0] + _MARGIN
    middle = int(left + (np.ptp(columns) + 1) // 2), int(top + (np.ptp(rows) + 1) // 2)
    source, held = np.ascontiguousarray(colour[inside]), np.ascontiguousarray(mask[inside])
    blended = cv2.seamlessClone(source, wide, held, middle, cv2.NORMAL_CLONE)
    frame[:] = blended[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


@lru_cache(maxsize=4)
def _read(path: Path) -> Image:
    return decoded(path)


def _part(image: Image, rng: np.random.Generator, form: Canvas) -> Image:
    """A random part of a picture, scaled up where the picture is smaller than the canvas."""
    scale = max(1.0, form.width / image.shape[1], form.height / image.shape[0])
    if scale > 1:
        size = max(form.width, round(image.shape[1] * scale)), max(form.height, round(image.shape[0] * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    top = int(rng.integers(image.shape[0] - form.height + 1))
    left = int(rng.integers(image.shape[1] - form.width + 1))
    return image[top : top + form.height, left : left + form.width].copy()
