"""A detector on whole panoramas: bfloat16 with colours innermost, against ultralytics' own predictor."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avssl.bench.case import Case, Result, Size, largest
from avssl.detection.backends.ultralytics import ultralytics
from avssl.detection.backends.yolo import OVERLAP, Yolo
from avssl.detection.detector_io import Config, build

CONFIG = Config("yolo11n.yaml", 1024, "equirect", [str(number) for number in range(80)])
LEAST = 0.25
NEAR = 0.05
"""bfloat16 keeps two to three digits."""


def cases(size: Size, folder: Path) -> list[Case]:
    """Panoramas one by one, as the predictor takes them; no case where ultralytics is not installed."""
    if find_spec("ultralytics") is None:
        return []
    shape = (size.views, size.detector_height, 2 * size.detector_height, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    torch.manual_seed(0)
    mine, theirs = build(CONFIG), build(CONFIG)
    theirs.load_state_dict(mine.state_dict())
    detector, predictor = Yolo(mine, "bench", "", shape[2]), _predictor(shape[1:3])

    def ours() -> object:
        return [detector.find(image[None], LEAST) for image in frames]

    def peer() -> object:
        return [predictor([image[..., ::-1].copy()], theirs) for image in frames]

    sides = _raw(ours, mine, len(frames)), _raw(peer, theirs, len(frames))
    return [Case("detector", "ultralytics predict()", *sides, NEAR, largest)]


def _predictor(shape: tuple[int, ...]) -> Any:
    """It works as in `YOLO.predict`, on the same device."""
    settings = {
        "imgsz": list(shape), "conf": LEAST, "iou": OVERLAP, "verbose": False, "save": False, "mode": "predict",
        "device": "0" if torch.cuda.is_available() else "cpu",
    }  # fmt: skip
    return ultralytics().models.yolo.detect.DetectionPredictor(overrides=settings)


def _raw(run: Callable[[], object], network: nn.Module, count: int) -> Callable[[], Result]:
    """What a network says of `count` pictures while a side runs: random weights find nothing that could be compared."""
    said: list[Tensor] = []
    network.register_forward_hook(lambda _module, _given, output: said.append(output[0].detach().float()))

    def side() -> Result:
        said.clear()
        run()
        both = torch.cat(said[-count:])
        return both[:, :4], both[:, 4:]

    return side
