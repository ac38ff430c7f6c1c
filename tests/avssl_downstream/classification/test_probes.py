"""Classifiers on synthetic embeddings with a known best decision, and against scikit-learn."""

import pytest
import torch
from avssl_downstream.classification.options import CLASSIFIERS
from avssl_downstream.classification.probes import classifier_from_state, make_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
from torch import Tensor


def clusters(count: int, distance: float = 3.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Gaussian clusters on one axis a class, with axes of very different scales, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    cloud = torch.randn(count, 12, generator=generator)
    cloud[torch.arange(count), labels] += distance
    return cloud * 10.0 ** torch.arange(-6, 6) + 5, labels


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_clusters_are_separated_at_any_scale_of_axes(name: str) -> None:
    found = make_classifier(name).fit(*clusters(200)).probabilities(clusters(100, seed=1)[0], 6)
    assert float((found.argmax(1) == clusters(100, seed=1)[1]).double().mean()) > 0.85
    assert torch.allclose(found.sum(1), torch.ones(100).double())
    assert bool((found[:, 4:] == 0).all())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_noise_stays_at_chance(name: str) -> None:
    found = make_classifier(name).fit(*clusters(200, 0)).probabilities(clusters(400, 0, 1)[0], 4)
    assert abs(float((found.argmax(1) == clusters(400, 0, 1)[1]).double().mean()) - 0.25) < 0.08


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_two_classes_keep_their_columns(name: str) -> None:
    embeddings, labels = clusters(80, 6)
    some = (labels == 1) | (labels == 3)
    found = make_classifier(name).fit(embeddings[some], labels[some]).probabilities(embeddings[some], 4)
    assert float((found.argmax(1) == labels[some]).double().mean()) > 0.95


@pytest.mark.parametrize("classes", [2, 4])
def test_probabilities_match_scikit_learn(classes: int) -> None:
    (embeddings, labels), (others, _) = clusters(120, 1), clusters(60, 1, seed=1)
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
def test_state_restores_the_classifier(name: str) -> None:
    others = clusters(40, seed=2)[0]
    first = make_classifier(name, neighbours=3).fit(*clusters(100))
    again = classifier_from_state({key: tensor.clone() for key, tensor in first.state.items()})
    assert torch.equal(first.probabilities(others, 4), again.probabilities(others, 4))


def test_invalid_training_data_raise() -> None:
    embeddings, labels = clusters(8)
    with pytest.raises(ValueError, match="did you mean 'logistic'"):
        make_classifier("logistik")
    with pytest.raises(ValueError, match="two or more classes"):
        make_classifier("svm").fit(embeddings, labels * 0)
    with pytest.raises(ValueError, match="neighbours=9: expected as many training examples, got 8"):
        make_classifier("knn", neighbours=9).fit(embeddings, labels)
    with pytest.raises(ValueError, match="finite"):
        make_classifier("svm").fit(embeddings / 0 * 0, labels)
