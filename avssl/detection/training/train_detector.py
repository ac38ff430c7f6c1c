"""Train a detector from random weights on the ground truth of a synthetic dataset; nothing is downloaded."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from avssl.datasets.manifest import Manifest, read_manifest
from avssl.detection.backends.architectures import shipped_file
from avssl.detection.backends.ultralytics import ultralytics, unchanged
from avssl.detection.backends.ultralytics_checkpoint import read_checkpoint
from avssl.detection.detector_io import Config, build, write_folder
from avssl.detection.ground_truth import FILE, read_truth
from avssl.detection.training.yolo_dataset import write_panorama_set
from avssl.errors import InputError
from avssl.io.atomic import scratch_folder, write_text
from avssl.io.cores import usable_cores
from avssl.io.folder_lock import NAME as LOCK
from avssl.io.folder_lock import folder_lock
from avssl.io.progress import ProgressBar

METRICS = "metrics.json"
MEASURED = {"map50": "metrics/mAP50(B)", "map50_95": "metrics/mAP50-95(B)"}
"""Our name -> ultralytics' name of each metric on held-out panoramas."""


@dataclass(frozen=True)
class DetectorConfig:
    """Training options of a detector."""

    architecture: str = "yolo11n.yaml"
    """Architecture file of ultralytics, trained from random weights."""
    side: int = 320
    """Image size in pixels; a multiple of 32."""
    panoramas: int = 500
    """Training frames, spread evenly over the clips of the split train."""
    held_out: int = 100
    """Evaluation frames, of the split test."""
    epochs: int = 10
    """Passes over the training frames."""
    batch: int = 8
    """Images per step."""
    lr: float = 0.002
    """Peak learning rate of AdamW, after one epoch of warm-up; it falls to nothing."""
    seed: int = 0
    """Seed of weights, order and augmentation."""

    def __post_init__(self) -> None:
        """Validate field values."""
        for name in ("panoramas", "held_out", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is at least 1, not {getattr(self, name)}")
        if self.side < 32 or self.side % 32:
            raise InputError(f"side is a multiple of 32, not {self.side}")
        if not self.lr > 0:
            raise InputError(f"lr is above 0, not {self.lr}")
        if self.seed < 0:
            raise InputError(f"seed is not negative, this is {self.seed}")


def train_detector(dataset: Path, out: Path, config: DetectorConfig, progress: bool = True) -> dict[str, float]:
    """Train a detector on a synthetic dataset and write its folder: config, weights, metrics.json.

    Args:
        dataset: rendered synthetic dataset of 360-degree clips, with its manifest and ground truth.
        out: output folder; written when training has ended.
        config: training options.
        progress: show a progress bar.

    Returns:
        Metrics on held-out panoramas and run time: `map50`, `map50_95`, `seconds`.

    Raises:
        InputError: no such dataset, no held-out clips in it, no such architecture, `out` is something else, or another
            process writes there.
        OSError: `out` cannot be written.
    """
    _check_new(out)
    with folder_lock(out):
        _check_new(out)
        return _train(dataset, out, config, progress)


def _train(dataset: Path, out: Path, config: DetectorConfig, progress: bool) -> dict[str, float]:
    train, test = (_split(dataset, name) for name in ("train", "test"))
    truth = read_truth(train.root / FILE)
    described = Config(config.architecture, config.side, "equirect", sorted(set(truth["kind"].to_pylist())))
    build(described)
    begin = time.perf_counter()
    with scratch_folder(Path(tempfile.gettempdir(), "avssl-detector")) as folder:
        splits = {"train": (train, config.panoramas), "val": (test, config.held_out)}
        data = write_panorama_set(folder / "set", splits, truth, described.labels)
        weights, measured = _trained(data, folder, config, progress)
        metrics = {name: float(measured[other]) for name, other in MEASURED.items()}
        metrics["seconds"] = time.perf_counter() - begin
        write_folder(out, described, read_checkpoint(weights).network.state_dict())
    write_text(out / METRICS, json.dumps(metrics | {"trained": asdict(config)}, indent=1) + "\n")
    return metrics


def _check_new(out: Path) -> None:
    """Check before training that the output folder can be created and is new or empty."""
    if out.is_file() or (out.is_dir() and any(each.name != LOCK for each in out.iterdir())):
        raise InputError(f"{out}: expected a new folder for the detector; this holds something already")
    nearest = next(each for each in (out, *out.absolute().parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"{out}: expected a new folder for the detector; none can be made in {nearest}")


def _split(dataset: Path, name: str) -> Manifest:
    return read_manifest(dataset, split=name)


def _architecture(folder: Path, name: str) -> Path:
    """Copy of a shipped architecture: of a name alone, ultralytics would read the file in the working folder."""
    return Path(shutil.copy(shipped_file(name), folder / name))


def _trained(data: Path, folder: Path, config: DetectorConfig, progress: bool) -> tuple[Path, dict[str, Any]]:
    """The last epoch's checkpoint, and its metrics."""
    settings = {
        "model": str(_architecture(folder, config.architecture)), "pretrained": False,
        "data": str(data), "imgsz": config.side,
        "epochs": config.epochs, "batch": config.batch, "seed": config.seed, "deterministic": True,
        # Its own choice is four batches a step and a low rate: of the few steps here, next to nothing is learnt.
        "optimizer": "AdamW", "lr0": config.lr, "nbs": config.batch, "warmup_epochs": 1.0,
        "project": str(folder), "name": "run", "exist_ok": True, "plots": False, "verbose": False,
        # Panoramas are twice as wide as high: in squares, half of the work would be on grey.
        "rect": True,
        # Measured once, in the end: to pick an epoch by what it finds on held-out panoramas would flatter it.
        "val": False,
        "device": "0" if torch.cuda.is_available() else "cpu", "workers": min(4, usable_cores()),
        # Never True: that compares results with those of a network it would download.
        "amp": "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else False,
    }  # fmt: skip
    numbers = ("loss {loss:.2f}",)
    bar = ProgressBar("train detector", None, "steps", numbers=numbers, shown=progress)
    with unchanged(), bar:
        trainer = ultralytics().models.yolo.detect.DetectionTrainer(overrides=settings)
        # It would leave a core idle.
        trainer.add_callback("on_train_start", lambda _: torch.set_num_threads(usable_cores()))

        def step(now: Any) -> None:
            bar.total = config.epochs * len(now.train_loader)
            bar.advance(loss=now.loss.item() / config.batch)

        trainer.add_callback("on_train_batch_end", step)
        trainer.train()
    return Path(trainer.last), trainer.metrics
