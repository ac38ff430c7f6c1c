"""A folder of numbered pictures, read as if it were a video."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch

from avssl.errors import InputError

SUFFIXES = frozenset((".jpg", ".jpeg", ".png"))


class Stills:
    """Numbered pictures of one size, such as 1.jpg or 000001.png: as an order of time the number counts, not the name.

    The first number is at 0 s. A number that is missing leaves the picture before it standing.

    Args:
        folder: where they lie; other files do not count, nor do pictures without a number.
        frame_rate: numbers a second.

    Raises:
        InputError: there are none, two have one number, or the first one cannot be read.
    """

    def __init__(self, folder: Path, frame_rate: float) -> None:
        self.path, self.frame_rate = folder, frame_rate
        numbered = _numbered(folder)
        self.files = [path for _, path in numbered]
        self.steps = [number - numbered[0][0] for number, _ in numbered]
        self.height, self.width = decoded(self.files[0]).shape[:2]
        self.aspect = self.width / self.height
        self.projection = self.stereo = ""
        self.turns = 0
        self.seconds = self.length()

    def length(self) -> float:
        """Seconds to the end of the last picture, which is as long as most are."""
        gaps = [later - earlier for earlier, later in pairwise(self.steps)]
        return (self.steps[-1] + median(gaps or [1])) / self.frame_rate

    def frames(self, times: Sequence[float], size: tuple[int, int]) -> Iterator[np.ndarray]:
        """The picture shown at each instant, scaled.

        Args:
            times: seconds, ascending.
            size: `(height, width)`.

        Yields:
            uint8 RGB `(height, width, 3)`.

        Raises:
            InputError: one cannot be read, or is of another size than the first.
        """
        held, image = -1, np.empty(0)
        for time in times:
            index = max(0, bisect_right(self.steps, time * self.frame_rate + 1e-6) - 1)
            if index != held:
                held, image = index, self._scaled(self.files[index], size)
            yield image

    def _scaled(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        image = decoded(path)
        if image.shape[:2] != (self.height, self.width):
            found = f"{image.shape[1]}x{image.shape[0]}"
            raise InputError(f"{path}: expected {self.width}x{self.height} like the first picture, this is {found}")
        smaller = size[0] < self.height
        return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """The pictures with their numbers, the last ones in their names, in order."""
    found: dict[int, Path] = {}
    for path in sorted(each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES):
        digits = re.findall("[0-9]+", path.stem)
        if path.name.startswith(".") or not digits:
            continue
        if (number := int(digits[-1])) in found:
            raise InputError(f"{folder}: expected one picture of a number, found {found[number].name} and {path.name}")
        found[number] = path
    if not found:
        raise InputError(f"{folder}: expected numbered pictures (.jpg, .png), found none")
    return sorted(found.items())


def decoded(path: Path) -> np.ndarray:
    """A picture, turned as its tags say: uint8 RGB `(height, width, 3)`.

    Raises:
        InputError: it cannot be read.
        OSError: it is not there.
    """
    from torchvision.io import ImageReadMode, decode_image  # seconds to import, for those who need it

    try:
        stored = torch.from_numpy(np.fromfile(path, np.uint8))
        image = decode_image(stored, ImageReadMode.RGB, apply_exif_orientation=True)
    except (RuntimeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(f"{path}: expected a picture, cannot be read: {reason}") from error
    if image.dtype != torch.uint8:
        raise InputError(f"{path}: expected a picture of 8 bits a colour, this is {image.dtype}")
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())
