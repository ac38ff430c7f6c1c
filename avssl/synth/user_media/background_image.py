"""Backgrounds from a user's photographs: panoramas all around, or what an ordinary camera takes in of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from avssl.errors import InputError
from avssl.media.image_sequence import SUFFIXES, decoded
from avssl.spatial.viewport import crop
from avssl.synth.projection.lens import Lens, Panorama
from avssl.synth.user_media.media_files import Split, Splitter, digest, find_files, read_each, split_files

Image = NDArray[np.uint8]

EXPECTED = "a folder of backgrounds"
TOLERANCE = 0.01
"""Deviation from 2:1, as a fraction of the width, up to which an image is a panorama."""
CLOSEST = 1.5
"""Largest enlargement of a photograph over the one that just fills the frame."""
OVERSAMPLING = 1.4
"""Columns of a panorama a turn per column that the camera would have."""


@dataclass(frozen=True)
class BackgroundImage:
    """A background, and how it is turned or cut."""

    path: Path
    seed: int

    def draw(self, lens: Lens) -> Image:
        """The background as a lens takes it in: uint8 RGB `(height, width, 3)`.

        A panorama is turned to a random azimuth; of an ordinary photograph, a random part that fills the frame is cut
        out.
        """
        rng, image = np.random.default_rng(self.seed), _read(self.path)
        if isinstance(lens, Panorama):
            return np.roll(_scaled(image, (lens.height, lens.width)), int(rng.integers(lens.width)), axis=1)
        return _view(image, rng, lens) if is_panorama(image.shape) else _part(image, rng, lens)


@lru_cache(maxsize=2)
def _read(path: Path) -> Image:
    return decoded(path)


def is_panorama(shape: tuple[int, ...]) -> bool:
    """Whether an image of `(height, width, ...)` is twice as wide as high."""
    return abs(shape[1] - 2 * shape[0]) <= max(2, TOLERANCE * shape[1])


def load_backgrounds(
    folder: Path, panoramic: bool, splitter: Splitter, rng: np.random.Generator, failures: list[str]
) -> tuple[Split[Path], str]:
    """Images of a folder, split, and their identity.

    Args:
        folder: of images, subfolders included; those of one subfolder are in one split.
        panoramic: whether all have to be panoramas.
        splitter: decides what is for test scenes.
        rng: where the randomness comes from.
        failures: takes a line for each image that cannot be read.

    Raises:
        InputError: no image, one that is no panorama, or too few for two splits.
    """
    found = read_each(find_files(folder, SUFFIXES, EXPECTED), lambda path: decoded(path).shape, failures)
    for path, shape in found:
        if panoramic and not is_panorama(shape):
            raise InputError(
                f"{path}: expected a 360-degree panorama, twice as wide as high, got {shape[1]}x{shape[0]}; leave it "
                "out, or take it for stage, whose camera is an ordinary one"
            )
    paths = [path for path, _ in found]
    return split_files(folder, [(path, path) for path in paths], splitter, rng, "backgrounds"), digest(folder, paths)


def _scaled(image: Image, size: tuple[int, int]) -> Image:
    smaller = size[1] < image.shape[1]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=way), np.uint8)


def _view(panorama: Image, rng: np.random.Generator, lens: Lens) -> Image:
    """What a level camera takes in of a panorama, at a random azimuth."""
    around = min(panorama.shape[1], 2 * round(OVERSAMPLING * lens.around / 2))
    frame = torch.from_numpy(_scaled(panorama, (around // 2, around)).transpose(2, 0, 1).copy())
    azimuth, fov = float(rng.uniform(-np.pi, np.pi)), 2 * np.arctan(np.pi * lens.width / lens.around)
    view = crop(frame[None], torch.tensor([[azimuth, 0.0]]), float(fov), (lens.height, lens.width))
    return np.ascontiguousarray(view[0, 0].numpy().transpose(1, 2, 0))


def _part(image: Image, rng: np.random.Generator, lens: Lens) -> Image:
    """A random part of a photograph in the shape of the frame."""
    height, width = image.shape[:2]
    scale = max(lens.height / height, lens.width / width) * rng.uniform(1, CLOSEST)
    size = max(lens.height, round(scale * height)), max(lens.width, round(scale * width))
    image = _scaled(image, size)
    top, left = int(rng.integers(size[0] - lens.height + 1)), int(rng.integers(size[1] - lens.width + 1))
    return image[top : top + lens.height, left : left + lens.width].copy()
