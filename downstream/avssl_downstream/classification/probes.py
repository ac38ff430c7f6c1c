"""Classifiers on standardised frozen embeddings, by name."""

# N embeddings, W embedding width, C classes, K classes of the training examples

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from avssl.config import check_choice
from avssl.errors import InputError, excerpt
from avssl_downstream.classification.options import CLASSIFIERS

MAX_ITERATIONS = 2000
"""Largest number of iterations of logistic regression."""
MARGIN_SCALE = 4.0
"""Factor on the margins of the support vector machine before softmax; it changes no decision."""


class Classifier(ABC):
    """Class probabilities from standardised embeddings.

    Args:
        state: of a fitted classifier.
    """

    def __init__(self, state: Mapping[str, Tensor] | None = None) -> None:
        self.state = dict(state or {})
        """Tensors of the fitted classifier."""

    def fit(self, embeddings: Tensor, labels: Tensor) -> Self:
        """Fit to embeddings `(N, W)` of classes `(N,)`.

        Raises:
            InputError: fewer than two classes, or embeddings with NaN or Inf.
        """
        known: Tensor = labels.unique()  # type: ignore[no-untyped-call]
        if len(known) < 2:
            raise InputError(f"expected training examples of two or more classes, got one in {len(labels)} examples")
        rows = _finite(embeddings)
        self.state = {"known": known, "mean": rows.mean(0), "scale": 1 / (rows.std(0, correction=0) + 1e-6)}
        self.state |= self._fit(self._standardise(rows), labels)
        return self

    def probabilities(self, embeddings: Tensor, classes: int) -> Tensor:
        """Float64 `(N, C)`; classes without training examples have probability 0.

        Args:
            embeddings: `(N, W)`.
            classes: number of classes of the data set.
        """
        rows = self._standardise(_finite(embeddings))
        scores = rows.new_zeros(len(rows), classes)
        scores[:, self.state["known"]] = self._known_probabilities(rows)
        return scores

    @abstractmethod
    def _fit(self, rows: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Fit to standardised embeddings; the state besides the standardisation."""

    @abstractmethod
    def _known_probabilities(self, rows: Tensor) -> Tensor:
        """Probabilities `(N, K)` of the training examples' classes."""

    def _standardise(self, rows: Tensor) -> Tensor:
        return (rows - self.state["mean"]) * self.state["scale"]


class LinearClassifier(Classifier):
    """Linear layer and softmax.

    Args:
        model: linear model of scikit-learn; None if `state` is given.
        margin_scale: factor on the margins before softmax.
        state: of a fitted classifier.
    """

    def __init__(self, model: Any = None, margin_scale: float = 1.0, state: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(state)
        self.model, self.margin_scale = model, margin_scale

    def _fit(self, rows: Tensor, labels: Tensor) -> dict[str, Tensor]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ConvergenceWarning: the last iterate is used
            self.model.fit(rows.numpy(), labels.numpy())
        weight, bias = (
            self.margin_scale * torch.from_numpy(each) for each in (self.model.coef_, self.model.intercept_)
        )
        if len(weight) == 1:  # scikit-learn has the margin of the second of two classes only
            weight, bias = torch.cat([-weight / 2, weight / 2]), torch.cat([-bias / 2, bias / 2])
        return {"weight": weight, "bias": bias}

    def _known_probabilities(self, rows: Tensor) -> Tensor:
        return (rows @ self.state["weight"].T + self.state["bias"]).softmax(1)


class NearestNeighboursClassifier(Classifier):
    """Nearest neighbours by cosine distance, weighted by inverse distance.

    Args:
        neighbours: number of neighbours.
        state: of a fitted classifier.
    """

    def __init__(self, neighbours: int = 5, state: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(state)
        self.neighbours = neighbours

    def _fit(self, rows: Tensor, labels: Tensor) -> dict[str, Tensor]:
        if self.neighbours > len(rows):
            raise InputError(f"neighbours={self.neighbours}: expected as many training examples, got {len(rows)}")
        return {"rows": rows, "labels": labels, "neighbours": torch.tensor(self.neighbours)}

    def _known_probabilities(self, rows: Tensor) -> Tensor:
        from sklearn.neighbors import KNeighborsClassifier

        model = KNeighborsClassifier(int(self.state["neighbours"]), weights="distance", metric="cosine")
        model.fit(self.state["rows"].numpy(), self.state["labels"].numpy())
        return torch.from_numpy(model.predict_proba(rows.numpy()))


def make_classifier(name: str, seed: int = 0, *, C: float = 1.0, neighbours: int = 5) -> Classifier:
    """Unfitted classifier.

    Probabilities of the support vector machine are a softmax of its margins.

    Args:
        name: logistic (multinomial), svm (linear, one against the rest) or knn (nearest neighbours).
        seed: of its random numbers.
        C: inverse regularisation strength of the first two (scikit-learn's C).
        neighbours: number of neighbours of knn.

    Raises:
        InputError: unknown name.
    """
    check_choice("classifier", name, CLASSIFIERS)
    if name == "logistic":
        from sklearn.linear_model import LogisticRegression

        return LinearClassifier(LogisticRegression(C=C, max_iter=MAX_ITERATIONS, random_state=seed))
    if name == "svm":
        from sklearn.svm import LinearSVC

        return LinearClassifier(LinearSVC(C=C, random_state=seed), MARGIN_SCALE)
    return NearestNeighboursClassifier(neighbours)


def classifier_from_state(state: Mapping[str, Tensor]) -> Classifier:
    """Classifier from the state of a fitted one."""
    return NearestNeighboursClassifier(state=state) if "rows" in state else LinearClassifier(state=state)


def check_state(state: Mapping[str, Tensor], width: int, classes: int) -> None:
    """Check the state of a fitted classifier from a file.

    Args:
        state: see `Classifier.state`.
        width: embedding dimension.
        classes: number of classes of the data set.

    Raises:
        InputError: tensors are missing, or of other shapes, types or ranges.
    """
    known, count = (len(state[name]) if name in state and state[name].ndim else 0 for name in ("known", "labels"))
    expected: dict[str, tuple[int, ...]] = {"known": (known,), "mean": (width,), "scale": (width,)}
    linear: dict[str, tuple[int, ...]] = {"weight": (known, width), "bias": (known,)}
    expected |= {"rows": (count, width), "labels": (count,), "neighbours": ()} if "rows" in state else linear
    shapes = {name: tuple(each.shape) for name, each in state.items()}
    if shapes != expected:
        raise InputError(f"expected a classifier of {expected}, got {excerpt(shapes)}")
    for name, each in state.items():
        whole = name in ("known", "labels", "neighbours")
        if each.dtype != torch.int64 if whole else not (each.is_floating_point() and bool(each.isfinite().all())):
            raise InputError(f"expected {'whole' if whole else 'finite real'} numbers as {name}, got {each.dtype}")
    if not _are_distinct(state["known"], classes):
        raise InputError(f"expected two or more of {classes} classes as known, got {excerpt(state['known'].tolist())}")
    if "rows" in state and not (
        1 <= int(state["neighbours"]) <= count and bool(torch.isin(state["labels"], state["known"]).all())
    ):
        raise InputError(f"expected 1 to {count} neighbours with known labels, got {int(state['neighbours'])}")


def _are_distinct(known: Tensor, classes: int) -> bool:
    """Whether they are two or more different class indices."""
    found = sorted(set(known.tolist()))
    return len(found) == len(known) >= 2 and found[0] >= 0 and found[-1] < classes


def _finite(embeddings: Tensor) -> Tensor:
    if not bool(embeddings.isfinite().all()):
        raise InputError("expected finite embeddings, got NaN or Inf; the encoders are broken")
    return embeddings.double()
