"""Baseline of EigenScape: directional audio coding and a Gaussian mixture model a class (Green and Murphy 2017)."""

# N waveforms, T frames, M mel bands, K = 3 M features of a frame

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from avssl.config import FeatureConfig
from avssl.models.encoders import AudioEncoder
from avssl.models.tower import Tower, TowerOutput
from avssl.spatial.ambisonics import angles, rotate
from avssl.spatial.features import Features
from avssl_downstream.classification.cross_validation import Predictor, Split
from avssl_downstream.classification.segments import SegmentEmbeddings

RATE, BANDS, WINDOW, HOP = 24000, 20, 2048, 512
COMPONENTS = 10
FLOOR = 1e-3
"""Added to the variances of standardised frames, which are 0 in silence."""


class DiracFeatures(Features):
    """Azimuth, elevation and diffuseness of a first-order field in each of 20 mel bands.

    The published code has two errors, which `legacy` reproduces: rolling W, Y, Z, X to W, X, Y, Z without an axis takes
    X from the previous sample, and its elevation is the inclination from the vertical.

    Args:
        seconds: length of the waveforms.
        legacy: reproduce the errors.
    """

    faults: Tensor

    def __init__(self, seconds: float, legacy: bool = False) -> None:
        super().__init__(FeatureConfig("foa-iv", RATE, WINDOW, HOP, BANDS))
        self.frames = round(seconds * RATE) // HOP
        self.legacy = legacy
        self.register_buffer("faults", torch.tensor(legacy))

    def forward(self, audio: Tensor, rotation: Tensor | None = None) -> Tensor:
        """Waveforms `(..., 4, samples)` to `(..., 3, T, M)`: azimuth and elevation in radians, diffuseness 0 to 1.

        Args:
            audio: ambiX of order 1.
            rotation: `(..., K, 3, 3)`, K rotations of each sound field; None: as recorded.
        """
        if rotation is not None:
            audio = rotate(audio.unsqueeze(-3), rotation)
        if self.legacy:
            audio = torch.cat([audio[..., :3, :], audio[..., 3:, :].roll(1, -1)], -2)
        flow = super().forward(audio)[..., self.levels :, :, :].movedim(-3, -1)
        azimuth, elevation = angles(flow[..., [2, 0, 1]])
        if self.legacy:
            elevation = torch.pi / 2 - elevation
        return torch.stack([azimuth, elevation, 1 - flow.norm(dim=-1)], -3)


class FlattenedFrames(Tower):
    """Concatenated features of all frames.

    Args:
        frames: of one waveform.
        features: of one frame.
    """

    def __init__(self, frames: int, features: int) -> None:
        super().__init__()
        self.width = frames * features

    def forward_features(self, x: Tensor) -> TowerOutput:
        """`(N, 3, T, M)` to `(N, T K)`."""
        return TowerOutput(rearrange(x, "N kinds T M -> N (T kinds M)"), x)


def dirac_embedder(seconds: float, legacy: bool = False) -> AudioEncoder:
    """Embedder of windows of `seconds` at 24 kHz: their concatenated DirAC frames."""
    features = DiracFeatures(seconds, legacy)
    return AudioEncoder(features, FlattenedFrames(features.frames, 3 * BANDS))


def gmm_predictor(windows: SegmentEmbeddings, seed: int) -> Predictor:
    """Predictor with a mixture of ten diagonal Gaussians a class; frames of a segment count as independent.

    Args:
        windows: embeddings of each segment's windows by `dirac_embedder`.
        seed: of the initial mixtures.
    """
    frames = [each.reshape(-1, 3 * BANDS) for each in windows]

    def predict(split: Split) -> Tensor:
        training = {
            label: _class_frames(frames, split.train[split.labels[split.train] == label])
            for label in range(split.classes)
        }
        count = sum(len(each) for each in training.values())
        mean = sum(each.sum(0, dtype=np.float64) for each in training.values()) / count
        squares = sum(np.square(each, dtype=np.float64).sum(0) for each in training.values()) / count
        scale = 1 / np.sqrt(np.maximum(squares - mean**2, 1e-12))
        fitted = [_fit_mixture((each - mean) * scale, seed) for each in training.values()]
        rows = [(frames[index].numpy() - mean) * scale for index in split.test.tolist()]
        scores = [[float(each.score_samples(row).sum()) for each in fitted] for row in rows]
        return torch.tensor(scores, dtype=torch.float64).softmax(1)

    return predict


def _class_frames(frames: SegmentEmbeddings, indices: Tensor) -> np.ndarray:
    joined: np.ndarray = torch.cat([frames[index] for index in indices.tolist()]).numpy()
    return joined


def _fit_mixture(rows: np.ndarray, seed: int) -> Any:
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(COMPONENTS, covariance_type="diag", reg_covar=FLOOR, random_state=seed)
    return mixture.fit(rows)
