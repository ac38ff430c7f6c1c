"""Classifiers on made-up embeddings whose best decision is known."""

import pytest
import torch
from avssl_downstream.classification import CLASSIFIERS, make_classifier
from torch import Tensor


def made(count: int, distance: float = 3.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Gaussian clouds around as many axes as there are classes, on wildly different scales, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    cloud = torch.randn(count, 12, generator=generator)
    cloud[torch.arange(count), labels] += distance
    return cloud * 10.0 ** torch.arange(-6, 6) + 5, labels


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_clouds_are_told_apart_whatever_the_scale_of_their_axes(name: str) -> None:
    found = make_classifier(name).fit(*made(200)).probabilities(made(100, seed=1)[0], 6)
    assert float((found.argmax(1) == made(100, seed=1)[1]).double().mean()) > 0.85
    assert torch.allclose(found.sum(1), torch.ones(100).double())
    assert bool((found[:, 4:] == 0).all())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_noise_is_not(name: str) -> None:
    found = make_classifier(name).fit(*made(200, 0)).probabilities(made(400, 0, 1)[0], 4)
    assert abs(float((found.argmax(1) == made(400, 0, 1)[1]).double().mean()) - 0.25) < 0.08


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_two_classes_that_are_not_the_first_keep_their_columns(name: str) -> None:
    embeddings, labels = made(80, 6)
    some = (labels == 1) | (labels == 3)
    found = make_classifier(name).fit(embeddings[some], labels[some]).probabilities(embeddings[some], 4)
    assert float((found.argmax(1) == labels[some]).double().mean()) > 0.95


def test_what_cannot_be_learned_from_is_said() -> None:
    embeddings, labels = made(8)
    with pytest.raises(ValueError, match="did you mean 'logistic'"):
        make_classifier("logistik")
    with pytest.raises(ValueError, match="two or more classes"):
        make_classifier("svm").fit(embeddings, labels * 0)
    with pytest.raises(ValueError, match="9 nearest neighbours"):
        make_classifier("knn", neighbours=9).fit(embeddings, labels)
    with pytest.raises(ValueError, match="finite"):
        make_classifier("svm").fit(embeddings / 0 * 0, labels)
