"""Instance segmentation: objects of an image and their masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.detection.backends.torchvision import PREFIX, Vision, read_vision
from avssl.detection.backends.ultralytics import ultralytics
from avssl.detection.backends.yolo import Yolo, read_yolo
from avssl.errors import InputError

LEAST_SCORE = 0.25
"""Lowest score of an object."""
SOLID = 0.5
"""Threshold of mask probabilities."""


class Instances(NamedTuple):
    """Objects of one image."""

    edges: NDArray[np.float32]
    """`(N, 4)` left, top, right and bottom in pixels."""
    scores: NDArray[np.float32]
    """`(N,)` in 0..1."""
    labels: list[str]
    """Class name of each object."""
    masks: NDArray[np.bool_]
    """`(N, height, width)`; none is empty."""


class Segmenter(ABC):
    """Detects objects and their masks."""

    sha256: str
    """Hash of its weights."""

    @abstractmethod
    def segment(self, frames: NDArray[np.uint8]) -> list[Instances]:
        """Process images of one size.

        Args:
            frames: `(images, height, width, 3)`, RGB.

        Returns:
            Objects of each image.
        """


@lru_cache(maxsize=1)
def load_segmenter(model: str) -> Segmenter:
    """Load a segmenter by name or path, from local files; nothing is downloaded.

    Args:
        model: `torchvision/NAME:PATH`, such as `torchvision/maskrcnn_resnet50_fpn:weights.pth`; or a `.pt` or `.onnx`
            file or OpenVINO folder of ultralytics, such as `yolo11n-seg.pt`.

    Raises:
        InputError: there is none, it cannot be read, or it makes no masks.
    """
    if model.startswith(PREFIX):
        if not model.startswith(f"{PREFIX}maskrcnn_"):
            raise InputError(f"{model}: expected a segmenter of torchvision, such as {PREFIX}maskrcnn_resnet50_fpn")
        return MaskRcnn(read_vision(model))
    path = Path(model)
    if not path.exists():
        raise InputError(f"{path}: no such segmenter here, and none is downloaded; give its file, or {PREFIX}NAME:PATH")
    yolo = read_yolo(path)
    try:
        return YoloSegmenter(yolo)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def chosen(found: Instances, box: NDArray[np.float64] | None, label: str) -> int | None:
    """Select an object: the one with the highest IoU with a box, or without a box, of the highest score.

    Args:
        found: the objects.
        box: left, top, right and bottom in pixels.
        label: required label; empty: any.

    Returns:
        Its index; None without such an object.
    """
    from torchvision.ops import box_iou

    worth = found.scores.astype(np.float64)
    if box is not None and len(worth):
        wanted = torch.from_numpy(box[None].astype(np.float32))
        worth = box_iou(torch.from_numpy(found.edges), wanted)[:, 0].double().numpy()
    worth = worth * [label in ("", each) for each in found.labels]
    return int(worth.argmax()) if len(worth) and worth.max() > 0 else None


class MaskRcnn(Segmenter):
    """A Mask R-CNN of torchvision; it scales images itself."""

    def __init__(self, vision: Vision) -> None:
        self.vision, self.sha256 = vision, vision.sha256

    @torch.inference_mode()
    def segment(self, frames: NDArray[np.uint8]) -> list[Instances]:
        """See `Segmenter.segment`."""
        planes = torch.from_numpy(frames).permute(0, 3, 1, 2).to(self.vision.device).float() / 255
        return [self._found(each) for each in self.vision.network(list(planes))]

    def _found(self, output: dict[str, Tensor]) -> Instances:
        masks = output["masks"][:, 0] > SOLID
        kept = (output["scores"] >= LEAST_SCORE) & masks.flatten(1).any(1)
        edges, scores, numbers = (output[name][kept].cpu().numpy() for name in ("boxes", "scores", "labels"))
        return Instances(edges, scores, self.vision.named(numbers.tolist()), masks[kept].cpu().numpy())


class YoloSegmenter(Segmenter):
    """A network of ultralytics that makes masks.

    Raises:
        InputError: it makes none.
    """

    def __init__(self, yolo: Yolo) -> None:
        self.yolo, self.sha256 = yolo, yolo.sha256
        with torch.inference_mode():
            _, prototypes = self._raw(torch.zeros(1, 3, yolo.side, yolo.side))
        if prototypes.ndim != 4:
            raise InputError("expected a segmenter, this finds boxes only")

    @torch.inference_mode()
    def segment(self, frames: NDArray[np.uint8]) -> list[Instances]:
        """See `Segmenter.segment`."""
        size = frames.shape[1:3]
        scale = self.yolo.side / max(size)
        inner = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        found = []
        for begin in range(0, len(frames), self.yolo.batch):
            scaled = np.stack([cv2.resize(each, inner[::-1]) for each in frames[begin : begin + self.yolo.batch]])
            found += self._segment(scaled, (size[0], size[1]))
        return found

    def _segment(self, scaled: NDArray[np.uint8], size: tuple[int, int]) -> list[Instances]:
        inner, batch = (scaled.shape[1], scaled.shape[2]), self.yolo.padded(scaled)
        outputs, prototypes = self._raw(batch)
        suppressed = self.yolo.suppressed(outputs, LEAST_SCORE)
        padded = batch.shape[2], batch.shape[3]
        return [self._found(*each, padded, inner, size) for each in zip(suppressed, prototypes, strict=True)]

    def _raw(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes with scores and mask coefficients, and the prototypes that these mix; float32."""
        output: Any = self.yolo.network(batch.to(self.yolo.device))
        first = output[0] if isinstance(output, list | tuple) else output
        # Networks of torch give both in a tuple, beside what training wants; exported ones give a list of the two.
        boxes, second = first[:2] if isinstance(first, tuple) else (first, output[1] if len(output) > 1 else first)
        return boxes.float(), second.float() if isinstance(second, Tensor) else boxes.float()

    def _found(
        self, rows: Tensor, prototypes: Tensor, padded: tuple[int, int], inner: tuple[int, int], size: tuple[int, int]
    ) -> Instances:
        process: Any = ultralytics().utils.ops.process_mask
        drawn = process(prototypes, rows[:, 6:], rows[:, :4], padded, upsample=True)[:, : inner[0], : inner[1]]
        masks = [cv2.resize(each, size[::-1], interpolation=cv2.INTER_NEAREST) > 0 for each in drawn.cpu().numpy()]
        kept = [number for number, mask in enumerate(masks) if mask.any()]
        scale = np.array([size[1] / inner[1], size[0] / inner[0]] * 2, np.float32)
        values = rows[kept].cpu().numpy()
        return Instances(
            np.clip(values[:, :4] * scale, 0, (size[1], size[0], size[1], size[0])).astype(np.float32),
            values[:, 4].astype(np.float32),
            self.yolo.named(values[:, 5]),
            np.stack([masks[number] for number in kept]) if kept else np.zeros((0, *size), bool),
        )
