"""DirAC features and the Gaussian mixture baseline against closed forms and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from avssl_downstream.classification.cross_validation import Split
from avssl_downstream.classification.feature_ablation import AblatedFeatures
from avssl_downstream.eigenscape.dirac import BANDS, DiracFeatures, dirac_embedder, gmm_predictor
from sklearn.mixture import GaussianMixture
from torch import Tensor

from avssl.config import FeatureConfig
from avssl.spatial.ambisonics import encode, rotate, rotation
from avssl.spatial.features import Features


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_dirac_direction_and_diffuseness_of_plane_wave_and_diffuse_field() -> None:
    azimuth, elevation = 2.0, -0.6
    wave = encode(noise(24000), azimuth, elevation)
    spread = sum(encode(noise(24000, seed=seed), *where) for seed, where in enumerate(_sphere_directions(60)))
    features = DiracFeatures(1.0)
    found = features(torch.stack([wave, spread]))
    assert found.shape == (2, 3, 24000 // 512, BANDS)
    assert torch.allclose(found[0, 0], torch.full(found.shape[2:], azimuth), atol=1e-3)
    assert torch.allclose(found[0, 1], torch.full(found.shape[2:], elevation), atol=1e-3)
    assert float(found[0, 2].abs().max()) < 1e-3
    assert float(found[1, 2, :, 10:].mean()) > 0.6


def test_legacy_dirac_has_both_published_errors_only() -> None:
    audio = encode(noise(24000), 0.4, 0.3)[None]
    delayed_x = audio.clone()
    delayed_x[:, 3] = audio[:, 3].roll(1, -1)
    one, other = DiracFeatures(1.0, legacy=True)(audio), DiracFeatures(1.0)(delayed_x)
    assert torch.allclose(one[:, 0], other[:, 0])
    assert torch.allclose(one[:, 1], math.pi / 2 - other[:, 1])
    assert torch.allclose(one[:, 2], other[:, 2])
    assert not torch.allclose(other[:, 0], DiracFeatures(1.0)(audio)[:, 0], atol=0.05)
    assert dirac_embedder(1.0).fingerprint() != dirac_embedder(1.0, legacy=True).fingerprint()


@pytest.mark.parametrize("legacy", [False, True])
def test_rotations_equal_those_of_the_waveforms(legacy: bool) -> None:
    audio, turns = noise(2, 4, 48_000), rotation(torch.tensor([[0.5, 2.0], [-1.0, 3.0]]), torch.zeros(2, 2))
    turned = rotate(audio[:, None], turns)
    for features in (DiracFeatures(1.0, legacy), AblatedFeatures(Features(FeatureConfig("foa-iv", 48_000)), "space")):
        expected = torch.stack([features(each) for each in turned.unbind(1)], 1)
        torch.testing.assert_close(features(audio, turns), expected, atol=1e-3, rtol=1e-3)


def test_gmm_predictor_sums_log_likelihoods_of_scikit_learn() -> None:
    width, rng = 3 * BANDS, np.random.default_rng(0)
    windows = [torch.from_numpy(rng.normal(place % 2, 1.0, (4, 25 * width))).float() for place in range(6)]
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    split = Split("fold1", torch.arange(4), torch.arange(4, 6), labels, 2)
    scores = gmm_predictor(windows, 0)(split)
    assert scores.argmax(1).tolist() == [0, 1]
    frames = [each.reshape(-1, width).double().numpy() for each in windows]
    training = np.concatenate(frames[:4])
    standard = [(each - training.mean(0)) / training.std(0) for each in frames]
    rows = [np.concatenate(standard[label:4:2]) for label in (0, 1)]
    fitted = [GaussianMixture(10, covariance_type="diag", reg_covar=1e-3, random_state=0).fit(each) for each in rows]
    sums = torch.tensor([[each.score_samples(standard[place]).sum() for each in fitted] for place in (4, 5)])
    assert torch.allclose(scores, sums.softmax(1), atol=1e-6)


def _sphere_directions(count: int) -> list[tuple[float, float]]:
    """Directions evenly spaced on the sphere, along a spiral."""
    heights = (1 - 2 * (np.arange(count) + 0.5) / count).tolist()
    return [(place * math.pi * (3 - math.sqrt(5)), math.asin(height)) for place, height in enumerate(heights)]
