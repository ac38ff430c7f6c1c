"""EigenScape's own system: directional audio coding and a mixture of Gaussians a class (Green and Murphy 2017)."""

# N sounds, T frames, M mel bands, K = 3 M numbers of a frame

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from avssl.config import FeatureConfig
from avssl.models.encoders import AudioEncoder
from avssl.models.tower import Tower, TowerOutput
from avssl.spatial.ambisonics import angles
from avssl.spatial.features import Features
from avssl_downstream.classification.cross_validation import Predict, Split
from avssl_downstream.classification.segments import Rows

RATE, BANDS, WINDOW, HOP = 24000, 20, 2048, 512
COMPONENTS = 10
FLOOR = 1e-3
"""Added to the variances of standardised frames: silence has none of its own."""


class DiracFeatures(Features):
    """Azimuth, elevation and diffuseness of a first-order field in each of 20 mel bands.

    The published code has two faults, which `legacy` repeats: rolling W, Y, Z, X to W, X, Y, Z without naming the axis
    takes X from the sample before, and what is called elevation is the angle to the vertical.

    Args:
        seconds: of the sounds that will come.
        legacy: repeat them.
    """

    faults: Tensor

    def __init__(self, seconds: float, legacy: bool = False) -> None:
        super().__init__(FeatureConfig("foa-iv", RATE, WINDOW, HOP, BANDS))
        self.frames = round(seconds * RATE) // HOP
        self.legacy = legacy
        self.register_buffer("faults", torch.tensor(legacy))

    def forward(self, audio: Tensor) -> Tensor:
        """Sounds `(N, 4, samples)` to `(N, 3, T, M)`: radians, radians, 0 (one plane wave) to 1."""
        if self.legacy:
            audio = torch.cat([audio[..., :3, :], audio[..., 3:, :].roll(1, -1)], -2)
        flow = rearrange(super().forward(audio)[:, self.levels :], "N yzx T M -> N T M yzx")
        azimuth, elevation = angles(flow[..., [2, 0, 1]])
        if self.legacy:
            elevation = torch.pi / 2 - elevation
        return torch.stack([azimuth, elevation, 1 - flow.norm(dim=-1)], 1)


class Frames(Tower):
    """Every frame as it is, one after the other.

    Args:
        frames: of one sound.
        numbers: of one frame.
    """

    def __init__(self, frames: int, numbers: int) -> None:
        super().__init__()
        self.width = frames * numbers

    def forward_features(self, x: Tensor) -> TowerOutput:
        """`(N, 3, T, M)` to `(N, T K)`."""
        return TowerOutput(rearrange(x, "N kinds T M -> N (T kinds M)"), x)


def dirac(seconds: float, legacy: bool = False) -> AudioEncoder:
    """Embedder of windows of so many seconds at 24 kHz: their DirAC frames, one after the other."""
    features = DiracFeatures(seconds, legacy)
    return AudioEncoder(features, Frames(features.frames, 3 * BANDS))


def mixtures(windows: Rows, seed: int) -> Predict:
    """Predictions by a diagonal mixture of ten Gaussians a class; frames of a segment are taken for independent.

    Args:
        windows: of each segment, what `dirac` gives of its windows.
        seed: of where the mixtures begin.
    """
    frames = [each.reshape(-1, 3 * BANDS) for each in windows]

    def predict(split: Split) -> Tensor:
        training = {
            label: _joined(frames, split.train[split.labels[split.train] == label]) for label in range(split.classes)
        }
        count = sum(len(each) for each in training.values())
        mean = sum(each.sum(0, dtype=np.float64) for each in training.values()) / count
        squares = sum(np.square(each, dtype=np.float64).sum(0) for each in training.values()) / count
        scale = 1 / np.sqrt(np.maximum(squares - mean**2, 1e-12))
        fitted = [_fitted((each - mean) * scale, seed) for each in training.values()]
        rows = [(frames[place].numpy() - mean) * scale for place in split.test.tolist()]
        scores = [[float(each.score_samples(row).sum()) for each in fitted] for row in rows]
        return torch.tensor(scores, dtype=torch.float64).softmax(1)

    return predict


def _joined(frames: Rows, places: Tensor) -> np.ndarray:
    found: np.ndarray = torch.cat([frames[place] for place in places.tolist()]).numpy()
    return found


def _fitted(rows: np.ndarray, seed: int) -> Any:
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(COMPONENTS, covariance_type="diag", reg_covar=FLOOR, random_state=seed)
    return mixture.fit(rows)
