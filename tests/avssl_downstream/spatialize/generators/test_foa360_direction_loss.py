"""Likelihood of directions: its density is SciPy's, its value that of simple mixtures, its weight falls to 0."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.generators.foa360_direction_loss import (
    DirectionLoss,
    negative_log_likelihood,
    relative_density,
)
from avssl_downstream.spatialize.networks.foa360 import LocalizedTracks
from avssl_downstream.spatialize.networks.track_localization import cell_gains
from scipy.stats import vonmises_fisher
from torch import Tensor

from avssl.models.panorama import cell_solid_angles

SIZE = (16, 32)
KAPPA = 10.0
EVERY = torch.ones(1, dtype=torch.bool)


def tracks(*cells: int | None, masks: tuple[float, ...] = ()) -> LocalizedTracks:
    """Tracks that are each in one cell, or absent, with constant masks."""
    attention = torch.zeros(1, len(cells), SIZE[0] * SIZE[1] + 1)
    for number, cell in enumerate(cells):
        attention[0, number, -1 if cell is None else cell] = 1
    shares = torch.tensor(masks or [1 / len(cells)] * len(cells)).reshape(1, -1, 1, 1).expand(-1, -1, 2, 8)
    return LocalizedTracks(torch.zeros(1, 1, 3, len(cells)), torch.zeros(1, 1, 3), shares, attention)


def intensity(cell: int, length: float = 1.0) -> Tensor:
    """From the centre of a cell, in 2 bands and 8 frames."""
    return length * cell_gains(SIZE)[cell][None, :, None, None].expand(1, 3, 2, 8)


def value(found: LocalizedTracks, wanted: Tensor, valid: Tensor = EVERY) -> float:
    return negative_log_likelihood(found, wanted, SIZE, valid, KAPPA).item()


def test_the_density_is_that_of_scipy():
    mean = np.array([0.0, 0.6, 0.8])
    points = vonmises_fisher(mean, 5.0).rvs(6, random_state=0)
    wanted = 4 * math.pi * vonmises_fisher(mean, KAPPA).pdf(points)
    np.testing.assert_allclose(relative_density(torch.from_numpy(points @ mean), KAPPA).numpy(), wanted, rtol=1e-6)


def test_a_track_in_the_true_cell_and_one_that_is_absent():
    assert value(tracks(40), intensity(40)) == pytest.approx(-math.log(2 * KAPPA), abs=1e-4)
    assert value(tracks(None), intensity(40)) == pytest.approx(0.0, abs=1e-5)
    both = -math.log(0.25 * 2 * KAPPA + 0.75)
    assert value(tracks(40, None, masks=(0.25, 0.75)), intensity(40)) == pytest.approx(both, abs=1e-4)
    unseparated = tracks(40)._replace(masks=None)
    assert value(unseparated, intensity(40)) == pytest.approx(-math.log(2 * KAPPA), abs=1e-4)


def test_attention_that_is_uniform_over_the_sphere_is_worth_nothing():
    share = (cell_solid_angles(*SIZE) / (4 * math.pi)).flatten()
    uniform = tracks(None)._replace(attention=torch.cat([share, torch.zeros(1)])[None, None])
    assert value(uniform, intensity(40)) == pytest.approx(0.0, abs=0.02)


def test_directions_weigh_by_their_length_and_only_in_valid_windows():
    near, far = intensity(40, 3.0), intensity(300, 1.0)
    mixed = torch.cat([near[..., :4], far[..., :4]], -1)
    parts = [value(tracks(40), each) for each in (near, far)]
    assert value(tracks(40), mixed) == pytest.approx((3 * parts[0] + parts[1]) / 4, rel=1e-4)
    doubled = LocalizedTracks(*(torch.cat([each, each]) for each in tracks(40)))
    chosen = negative_log_likelihood(doubled, torch.cat([near, far]), SIZE, torch.tensor([False, True]), KAPPA)
    assert chosen.item() == pytest.approx(parts[1], rel=1e-5)
    assert value(tracks(40), torch.zeros(1, 3, 2, 8)) == 0


def test_the_gradient_of_uniform_attention_points_to_the_source():
    scores = torch.zeros(SIZE[0] * SIZE[1] + 1, requires_grad=True)
    found = tracks(None)._replace(attention=scores.softmax(-1)[None, None])
    negative_log_likelihood(found, intensity(40), SIZE, EVERY, KAPPA).backward()
    assert int(scores.grad.argmin()) == 40


def test_the_weight_falls_to_nothing_in_training_alone():
    loss = DirectionLoss(2.0, 4, KAPPA)
    given = tracks(40), intensity(40), SIZE, EVERY
    whole = value(tracks(40), intensity(40))
    loss.eval()
    assert loss(*given).item() == pytest.approx(2 * whole)
    loss.train()
    assert [loss(*given).item() for _ in range(6)] == pytest.approx([whole * each for each in (2, 1.5, 1, 0.5, 0, 0)])
    again = DirectionLoss(2.0, 4, KAPPA)
    again.load_state_dict(loss.state_dict())
    assert again(*given).item() == 0
