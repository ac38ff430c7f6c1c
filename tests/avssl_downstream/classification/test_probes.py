"""Classifiers on made-up embeddings whose best decision is known."""

import pytest
import torch
from avssl_downstream.classification.options import CLASSIFIERS
from avssl_downstream.classification.probes import fitted, make_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
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


@pytest.mark.parametrize("classes", [2, 4])
def test_probabilities_are_scikit_learns(classes: int) -> None:
    (embeddings, labels), (others, _) = made(120, 1), made(60, 1, seed=1)
    embeddings, labels = embeddings[labels < classes], labels[labels < classes]
    mean, scale = embeddings.double().mean(0), embeddings.double().std(0, correction=0) + 1e-6
    rows, tested = (((each.double() - mean) / scale).numpy() for each in (embeddings, others))
    theirs = LogisticRegression(C=0.3, max_iter=2000).fit(rows, labels).predict_proba(tested)
    ours = make_classifier("logistic", C=0.3).fit(embeddings, labels).probabilities(others, classes)
    assert torch.allclose(ours, torch.from_numpy(theirs), atol=1e-9)
    theirs = KNeighborsClassifier(7, weights="distance", metric="cosine").fit(rows, labels).predict_proba(tested)
    ours = make_classifier("knn", neighbours=7).fit(embeddings, labels).probabilities(others, classes)
    assert torch.allclose(ours, torch.from_numpy(theirs), atol=1e-9)
    decided = LinearSVC(random_state=3).fit(rows, labels).predict(tested)
    ours = make_classifier("svm", 3).fit(embeddings, labels).probabilities(others, classes)
    assert ours.argmax(1).tolist() == decided.tolist()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_is_its_state(name: str) -> None:
    others = made(40, seed=2)[0]
    first = make_classifier(name, neighbours=3).fit(*made(100))
    again = fitted({key: tensor.clone() for key, tensor in first.state.items()})
    assert torch.equal(first.probabilities(others, 4), again.probabilities(others, 4))


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
