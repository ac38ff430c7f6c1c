"""Bootstrap intervals against resampling without chunks, and their coverage."""

import tracemalloc

import numpy as np
import pytest
import torch

from avssl.evaluation import bootstrap
from avssl.evaluation.bootstrap import accuracy_interval


def judgements(groups, each, seed=0):
    correct = torch.rand(groups * each, generator=torch.Generator().manual_seed(seed)) < 0.7
    return correct, torch.arange(groups).repeat_interleave(each)


@pytest.mark.parametrize("chunk", [1, 100, 1000, 10**7])
def test_interval_in_chunks_equals_resampling_in_one_piece(monkeypatch, chunk):
    monkeypatch.setattr(bootstrap, "CHUNK", chunk)
    correct, group = judgements(37, 3)
    hits = correct.view(37, 3).sum(1).numpy()
    picked = np.random.default_rng(5).integers(37, size=(501, 37))
    low, high = np.quantile(hits[picked].sum(1) / (3 * 37), [0.025, 0.975])
    found = accuracy_interval(correct, group, 501, 5)
    assert found == (pytest.approx(float(correct.double().mean())), pytest.approx(low), pytest.approx(high))


def test_memory_is_independent_of_the_number_of_resamplings():
    correct, group = judgements(20_000, 2)
    tracemalloc.start()
    accuracy_interval(correct, group, 1000, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6  # in one piece each of three arrays takes 160 MB


def test_interval_covers_the_truth_for_correlated_groups():
    rng = np.random.default_rng(0)
    covered = []
    for trial in range(200):
        skill = rng.beta(8, 2, 60)  # of each clip; mean 0.8
        correct = torch.from_numpy(rng.random((60, 8)) < skill[:, None]).flatten()
        found = accuracy_interval(correct, torch.arange(60).repeat_interleave(8), 400, trial)
        covered.append(found.low <= 0.8 <= found.high)
    assert 0.88 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize("groups", [0, 3])
def test_predictions_without_groups_are_errors(groups):
    with pytest.raises(ValueError, match="one group for each"):
        accuracy_interval(torch.ones(0 if not groups else 4, dtype=torch.bool), torch.arange(groups), 10, 0)
