"""Benchmark of object detection on panoramas: channels last, bfloat16 if there is, against ultralytics' predictor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avssl.bench.case import Case, Result, Row, Size, largest
from avssl.bench.peers import with_library
from avssl.detection.backends.ultralytics import ultralytics
from avssl.detection.backends.yolo import OVERLAP, Yolo
from avssl.detection.detector_io import Config, build

CONFIG = Config("yolo11n.yaml", 1024, "equirect", [str(number) for number in range(80)])
MIN_SCORE = 0.25
TOLERANCE = 0.05
"""bfloat16 has two to three significant digits."""


def cases(size: Size, folder: Path) -> list[Row]:
    """Detection on single panoramas, as in the predictor."""
    return with_library("detector", "ultralytics", "ultralytics predict()", lambda _: _cases(size))


def _cases(size: Size) -> list[Case]:
    shape = (size.views, size.detector_height, 2 * size.detector_height, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    torch.manual_seed(0)
    mine, theirs = build(CONFIG), build(CONFIG)
    theirs.load_state_dict(mine.state_dict())
    detector, predictor = Yolo(mine, "bench", "", shape[2]), _predictor(shape[1:3])

    def ours() -> object:
        return [detector.find(image[None], MIN_SCORE) for image in frames]

    def peer() -> object:
        return [predictor([image[..., ::-1].copy()], theirs) for image in frames]

    sides = _raw(ours, mine, len(frames)), _raw(peer, theirs, len(frames))
    work = f"{len(frames)} panoramas of {shape[2]} x {shape[1]}, one at a time"
    return [Case("detector", "ultralytics predict()", *sides, TOLERANCE, largest, work=work, aim=1.8)]


def _predictor(shape: tuple[int, ...]) -> Any:
    """Predictor of `YOLO.predict`, on the same device."""
    settings = {
        "imgsz": list(shape), "conf": MIN_SCORE, "iou": OVERLAP, "verbose": False, "save": False, "mode": "predict",
        "device": "0" if torch.cuda.is_available() else "cpu",
    }  # fmt: skip
    return ultralytics().models.yolo.detect.DetectionPredictor(overrides=settings)


def _raw(run: Callable[[], object], network: nn.Module, count: int) -> Callable[[], Result]:
    """Raw network outputs for `count` images while a side runs: random weights give no detections to compare."""
    outputs: list[Tensor] = []
    network.register_forward_hook(lambda _module, _inputs, output: outputs.append(output[0].detach().float()))

    def side() -> Result:
        outputs.clear()
        run()
        raw = torch.cat(outputs[-count:])
        return raw[:, :4], raw[:, 4:]

    return side
