"""Detectors that ultralytics reads: checkpoints, ONNX files and OpenVINO folders, and networks already in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avssl.detection.backends.detector import Detections, Detector
from avssl.detection.backends.exported import load_export
from avssl.detection.backends.ultralytics import ultralytics
from avssl.detection.backends.ultralytics_checkpoint import read_checkpoint
from avssl.errors import InputError, excerpt, one_line
from avssl.io.arithmetic import has_bfloat16
from avssl.io.hashing import sha256

GREY = 114 / 255
"""Padding value of images in the training of these networks."""
BATCH = 16
"""Images per forward pass."""
SUFFIXES = (".pt", ".onnx")
"""Suffixes of the files that are read."""
EXPORT = "export it where you trust it, `yolo export model=FILE format=onnx` (or openvino), and give the result"
"""Advice for networks that are not read."""
OVERLAP = 0.7
"""IoU threshold of non-maximum suppression: the predictor's default."""


class Yolo(Detector):
    """A network of ultralytics, whatever it was saved as.

    Networks of torch work on the accelerator if there is one, colours innermost, in bfloat16 where the device has it.

    Args:
        model: a network, or the file or folder of an exported one.
        name: of the model.
        digest: sha256 of its weights.
        side: pixels of the square that images are scaled to; ignored for exported networks, which store it.

    Raises:
        InputError: it is no detector.
    """

    def __init__(self, model: nn.Module | Path, name: str, digest: str, side: int = 640) -> None:
        self.name, self.sha256, self.side = name, digest, side
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if isinstance(model, nn.Module):
            backend = ultralytics().nn.autobackend.AutoBackend(model, self.device, verbose=False)
        else:
            backend = load_export(model, self.device)
        task = getattr(backend, "task", None) or "detect"
        if task not in ("detect", "segment", "pose"):
            raise InputError(f"expected a detector of objects, its task is {task!r}")
        self.network, self.of_torch = backend.eval(), isinstance(model, nn.Module)
        self.labels: dict[int, str] = backend.names
        self.fixed = not self.of_torch and not getattr(backend, "dynamic", False)
        self.batch = BATCH
        if self.fixed:
            if not hasattr(backend, "imgsz"):
                raise InputError("it does not say imgsz, batch and names, as what ultralytics exports does")
            self.side, self.batch = max(backend.imgsz), max(1, int(backend.batch))

    @torch.inference_mode()
    def find(self, frames: NDArray[np.uint8], min_score: float) -> list[Detections]:
        """See `Detector.find`."""
        size = frames.shape[1:3]
        found: list[Detections] = []
        for batch in self._batches(frames):
            found += [self._found(each, size) for each in self.suppressed(self.raw(batch), min_score)]
        return found

    @torch.inference_mode()
    def try_out(self) -> None:
        """Run an empty image through the network and check the shape of its output.

        Raises:
            InputError: its output is not that of a detector of these objects.
            RuntimeError: whatever the network itself raises.
        """
        output = self.raw(torch.zeros(1, 3, self.side, self.side))
        if output.ndim != 3 or (output.shape[1] < 4 + len(self.labels) and output.shape[2] < 6):
            raise InputError(f"expected boxes with scores of {len(self.labels)} kinds, it says {tuple(output.shape)}")
        if output.shape[2] == 4 + len(self.labels):
            raise InputError("networks that say boxes one by one (RT-DETR) are not read")

    def raw(self, batch: Tensor) -> Tensor:
        """The network's output for RGB in 0..1, `(images, 3, height, width)`: boxes and scores, float32."""
        batch = batch.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.of_torch and has_bfloat16()):
            output = self.network(batch.contiguous(memory_format=torch.channels_last) if self.of_torch else batch)
        while isinstance(output, list | tuple):  # masks, poses and the trainer's raw maps follow the boxes
            output = output[0]
        boxes: Tensor = output.float()
        return boxes

    def suppressed(self, output: Tensor, min_score: float) -> list[Tensor]:
        """Non-maximum suppression of `raw` outputs, per image: edges, score, label index, and further columns.

        Args:
            output: of the network, float32.
            min_score: lowest score of detections.
        """
        end2end = getattr(self.network, "end2end", False)
        suppress: Any = ultralytics().utils.nms.non_max_suppression
        found: list[Tensor] = suppress(output, min_score, OVERLAP, nc=len(self.labels), end2end=end2end)
        return found

    def named(self, numbers: NDArray[np.float32]) -> list[str]:
        """Labels by number; the number itself where there is none."""
        return [self.labels.get(int(each), str(int(each))) for each in numbers]

    def padded(self, frames: NDArray[np.uint8]) -> Tensor:
        """RGB in 0..1, `(images, 3, height, width)`, padded with grey on the right and below to the input size."""
        block = torch.from_numpy(frames).permute(0, 3, 1, 2)
        below, right = (self._beyond(length) for length in block.shape[-2:])
        return nn.functional.pad(block.float() / 255, (0, right, 0, below), value=GREY)

    def _batches(self, frames: NDArray[np.uint8]) -> Iterator[Tensor]:
        for start in range(0, len(frames), self.batch):
            yield self.padded(frames[start : start + self.batch])

    def _beyond(self, length: int) -> int:
        """Pixels of padding to the fixed side or to a multiple of the coarsest stride."""
        return self.side - length if self.fixed else -length % 32

    def _found(self, boxes: Tensor, size: Sequence[int]) -> Detections:
        height, width = size
        rows = boxes.cpu().numpy()
        edges = np.clip(rows[:, :4], 0, (width, height, width, height)).astype(np.float32)
        some = (edges[:, 2] > edges[:, 0]) & (edges[:, 3] > edges[:, 1])
        return Detections(edges[some], rows[some, 4].astype(np.float32), self.named(rows[some, 5]))


def read_yolo(path: Path) -> Yolo:
    """A detector from a `.pt` checkpoint, an `.onnx` file or an OpenVINO folder; nothing in them is executed.

    Raises:
        InputError: it cannot be read, or is no detector.
    """
    known = path.is_dir() or path.suffix in SUFFIXES
    if not known or not path.exists():
        raise InputError(f"{path}: expected a detector, {' or '.join(SUFFIXES)} file or OpenVINO folder; {EXPORT}")
    library = ultralytics()
    try:
        digest = sha256(*yolo_files(path))
        detector = _read(path, digest)
        detector.try_out()
    except OSError as error:
        raise InputError(one_line(error)) from error
    except Exception as error:  # each format's library has errors of its own, from RuntimeError to protobuf's
        reason = excerpt(error).removeprefix(f"{path}: ")
        advice = f"; {EXPORT}" if path.suffix == ".pt" else ""
        raise InputError(
            f"{path}: not a detector that ultralytics {library.__version__} reads: {reason}{advice}"
        ) from error
    return detector


def _read(path: Path, digest: str) -> Yolo:
    if path.suffix != ".pt":
        return Yolo(path, path.stem, digest)
    found = read_checkpoint(path)
    return Yolo(found.network, path.stem, digest, found.side)


def yolo_files(path: Path) -> list[Path]:
    """The files whose hash is a detector's: itself, or those of an OpenVINO folder."""
    return sorted(each for each in path.iterdir() if each.suffix in (".bin", ".xml")) if path.is_dir() else [path]
