"""The contract of heads names the clause that a broken one breaks."""

import math
from pathlib import Path

import pytest
import torch

from avssl.config import FeatureConfig, ModelConfig
from avssl.head import Head
from avssl.models import build_encoders
from avssl.testing import check_head


class Plain(Head):
    """Returns `numbers`, one set a call."""

    numbers = ({"error": 1.0}, {"error": 1.0})

    def fit(self, folder: Path) -> dict[str, float]:
        found, self.numbers = self.numbers[0], self.numbers[1:]
        return found


class Greedy(Plain):
    """Trains the encoders that it was given."""

    def fit(self, folder: Path) -> dict[str, float]:
        with torch.no_grad():
            next(self.encoders.parameters()).add_(1.0)
        return super().fit(folder)


@pytest.fixture(scope="module")
def encoders():
    return build_encoders(ModelConfig(), FeatureConfig())


def test_a_head_that_keeps_the_contract_passes(encoders, tmp_path):
    assert check_head(Plain(encoders, None), tmp_path) == {"error": 1.0}


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (({"error": 1.0}, {"error": 2.0}), "two fits with the same options differ in error"),
        (({"error": math.nan},), "expected a finite 'error' from fit, got nan"),
        (({"error": "1"},), "expected 'error' of fit as a number, got '1'"),
        (({},), "expected numbers from fit, got none"),
        ((None,), "from fit, got NoneType"),
    ],
)
def test_a_broken_clause_is_named(encoders, tmp_path, numbers, message):
    head = Plain(encoders, None)
    head.numbers = numbers
    with pytest.raises(AssertionError, match=message):
        check_head(head, tmp_path)


def test_a_head_that_trains_the_encoders_it_was_given_is_named(encoders, tmp_path):
    with pytest.raises(AssertionError, match="fit changed their weights"):
        check_head(Greedy(encoders, None), tmp_path)
