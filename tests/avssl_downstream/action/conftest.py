"""Data set of two motions, a video tower that measures motion, and a trainable one."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avssl_downstream.action.options import ActionOptions
from torch import Tensor, nn

from avssl.config import FeatureConfig, ModelConfig, fill
from avssl.media import write_avi
from avssl.models.embedder import module_fingerprint
from avssl.models.encoders import Encoders
from avssl.models.geometry import InputGeometry

SIDE, RATE, LENGTH = 32, 16.0, 24
GEOMETRY = InputGeometry(1.0, 8, RATE, SIDE)
CLASSES, GROUPS, CLIPS = ("Fall", "Rise"), 9, 1


def bar_video(label: str, seed: int) -> list[np.ndarray]:
    """Bar that moves down with wrap-around (Fall), or the reversed video (Rise); single frames do not differ."""
    rng = np.random.default_rng(seed)
    begin, colour = rng.integers(SIDE), rng.integers(150, 255, 3)
    frames = np.full((LENGTH, SIDE, SIDE, 3), 30, np.uint8)
    for number, frame in enumerate(frames):
        frame[(begin + 2 * number + np.arange(8)) % SIDE] = colour
    return list(frames if label == "Fall" else frames[::-1])


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tree of UCF101 with nine groups a class, three of them in each split's test list."""
    root = tmp_path_factory.mktemp("data_set")
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("".join(f"{n} {label}\n" for n, label in enumerate(CLASSES, 1)))
    names: dict[int, list[str]] = {}
    for label in CLASSES:
        (root / "UCF-101" / label).mkdir(parents=True)
        for group in range(1, GROUPS + 1):
            for clip in range(1, CLIPS + 1):
                name = f"{label}/v_{label}_g{group:02}_c{clip:02}.avi"
                names.setdefault(group, []).append(name)
                write_avi(root / "UCF-101" / name, bar_video(label, group), RATE, None, 0)
    for split in (1, 2, 3):
        tested = range(3 * split - 2, 3 * split + 1)
        for part, groups in (("train", set(names) - set(tested)), ("test", tested)):
            text = "".join(f"{name}\n" for group in sorted(groups) for name in names[group])
            (lists / f"{part}list0{split}.txt").write_text(text)
    return root


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))


class Embedder(nn.Module):
    def fingerprint(self) -> str:
        return module_fingerprint(self)


class MotionOracle(Embedder):
    """Position of the bar and its displacement between frames."""

    width = 4

    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(1))

    def forward(self, frames: Tensor) -> Tensor:
        rows = frames.float().mean((-3, -1))
        phasor = torch.exp(2j * math.pi * torch.arange(SIDE) / SIDE)
        place = ((rows - rows.amin(-1, keepdim=True)).to(phasor.dtype) @ phasor).angle()
        step = torch.exp(1j * (place[..., 1:] - place[..., :-1])).mean(-1)
        return torch.stack([step.real, step.imag, place[..., 0].cos(), place[..., 0].sin()], -1) + self.zero


class TrainableTower(Embedder):
    """Small network over the standardised brightness of rows in consecutive frames."""

    width = 32

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 16, (2, 5), padding=(0, 2), padding_mode="circular"), nn.ReLU())
        self.out = nn.Linear(16, self.width)

    def forward(self, frames: Tensor) -> Tensor:
        rows = frames.float().mean((-3, -1))
        rows = (rows - rows.mean((-2, -1), keepdim=True)) / (rows.std((-2, -1), keepdim=True) + 1)
        embedding: Tensor = self.out(self.layers(rows[:, None]).square().mean((2, 3)))
        return embedding


@pytest.fixture
def oracle() -> Encoders:
    """Encoders whose video tower measures motion."""
    encoders = Encoders(ModelConfig(), FeatureConfig(), GEOMETRY)
    encoders.video = MotionOracle()  # type: ignore[assignment]
    return encoders.eval()


@pytest.fixture
def trainable() -> Encoders:
    """Encoders whose video tower can be trained to."""
    torch.manual_seed(0)
    encoders = Encoders(ModelConfig(), FeatureConfig(), GEOMETRY)
    encoders.video = TrainableTower()  # type: ignore[assignment]
    return encoders.eval()


@pytest.fixture
def options(data_set: Path) -> Any:
    """Options for the data set, with overrides."""
    small = {
        "root": str(data_set),
        "size": SIDE,
        "resize": SIDE,
        "frames": 4,
        "frame_rate": RATE,
        "test_clips": 3,
        "workers": 0,
    }
    quick = {"train_clips": 2, "precision": "32-true", "batch": 8, "min_crop_area": 1.0, "save_every": 1000}
    return lambda **changes: fill(ActionOptions, small, quick, changes)
