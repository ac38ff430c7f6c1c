"""Read a folder of numbered images as a video."""

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
from avssl.media.spherical_xml import parse_spherical_xml
from avssl.regular_files import open_regular

SUFFIXES = frozenset((".jpg", ".jpeg", ".png"))
FRONT = 1 << 17
"""Bytes of an image in which its metadata lie: one JPEG segment has at most half of them."""


class ImageSequence:
    """Numbered images of one size, such as 1.jpg or 000001.png, ordered by number.

    The first number is at 0 s. A missing number repeats the image before it.

    Args:
        folder: image folder; other files and images without a number are ignored.
        frame_rate: numbers per second.

    Raises:
        InputError: no images, two with the same number, or the first one cannot be read.
    """

    def __init__(self, folder: Path, frame_rate: float) -> None:
        self.path, self.frame_rate = folder, frame_rate
        numbered = _numbered(folder)
        self.files = [path for _, path in numbered]
        self.steps = [number - numbered[0][0] for number, _ in numbered]
        self.height, self.width = decoded(self.files[0]).shape[:2]
        self.aspect = self.width / self.height
        self.projection, self.stereo = parse_spherical_xml(_photo_xml(self.files[0]))
        self.seconds, self.stated = self.length(), True

    def length(self) -> float:
        """Duration in seconds; the last image lasts the median interval."""
        gaps = [later - earlier for earlier, later in pairwise(self.steps)]
        return (self.steps[-1] + median(gaps or [1])) / self.frame_rate

    def frames(self, times: Sequence[float], size: tuple[int, int]) -> Iterator[np.ndarray]:
        """Yield the image at each time, scaled.

        Args:
            times: seconds, ascending.
            size: `(height, width)`.

        Yields:
            uint8 RGB `(height, width, 3)`.

        Raises:
            InputError: an image cannot be read, or its size differs from the first.
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
            raise InputError(f"{path}: expected {self.width}x{self.height} like the first image, got {found}")
        smaller = size[0] < self.height
        return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """Images with the last number in their names, sorted by it."""
    found: dict[int, Path] = {}
    for path in sorted(each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES):
        digits = re.findall("[0-9]+", path.stem)
        if path.name.startswith(".") or not digits:
            continue
        if (number := int(digits[-1])) in found:
            raise InputError(f"{folder}: expected one image per number, found {found[number].name} and {path.name}")
        found[number] = path
    if not found:
        raise InputError(f"{folder}: expected numbered images (.jpg, .png), found none")
    return sorted(found.items())


def _photo_xml(path: Path) -> str:
    """XMP metadata at the front of an image, where photo spheres state their projection; empty without it."""
    with open_regular(path, "an image") as file:
        front = file.read(FRONT)
    return front[front.find(b"<x:xmpmeta") :].decode("utf-8", "replace") if b"GPano:" in front else ""


def decoded(path: Path) -> np.ndarray:
    """Decode an image with EXIF orientation applied: uint8 RGB `(height, width, 3)`.

    Raises:
        InputError: it cannot be read.
        OSError: no such file.
    """
    from torchvision.io import ImageReadMode, decode_image  # slow import

    with open_regular(path, "an image") as file:
        stored = torch.from_numpy(np.fromfile(file, np.uint8))
    try:
        image = decode_image(stored, ImageReadMode.RGB, apply_exif_orientation=True)
    except (RuntimeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(f"{path}: expected an image, cannot be read: {reason}") from error
    if image.dtype != torch.uint8:
        raise InputError(f"{path}: expected an image with 8 bits per channel, got {image.dtype}")
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())
