"""Classifiers on frozen embeddings, by name; each standardises what it is fitted to."""

# N embeddings, W numbers of each, C classes, K of them learned

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from avssl.config import check_choice
from avssl.errors import InputError
from avssl_downstream.classification.options import CLASSIFIERS

ITERATIONS = 2000
"""Most that logistic regression takes."""
SHARPNESS = 4.0
"""Margins of the support vector machine are multiplied by this before softmax; it changes no decision."""


class Classifier(ABC):
    """Standardised embeddings to probabilities of classes.

    Args:
        state: of one that was fitted.
    """

    def __init__(self, state: Mapping[str, Tensor] | None = None) -> None:
        self.state = dict(state or {})
        """Tensors that say all that was learned."""

    def fit(self, embeddings: Tensor, labels: Tensor) -> Self:
        """Learn from `(N, W)` embeddings of classes `(N,)`.

        Raises:
            InputError: fewer than two classes among them, or numbers that are not finite.
        """
        known: Tensor = labels.unique()  # type: ignore[no-untyped-call]
        if len(known) < 2:
            raise InputError(f"a classifier learns from two or more classes, {len(labels)} examples show fewer")
        rows = _finite(embeddings)
        self.state = {"known": known, "mean": rows.mean(0), "scale": 1 / (rows.std(0, correction=0) + 1e-6)}
        self.state |= self._learned(self._standard(rows), labels)
        return self

    def probabilities(self, embeddings: Tensor, classes: int) -> Tensor:
        """Float64 `(N, C)`; a class that was not learned from has probability 0.

        Args:
            embeddings: `(N, W)`.
            classes: of the data set.
        """
        rows = self._standard(_finite(embeddings))
        found = rows.new_zeros(len(rows), classes)
        found[:, self.state["known"]] = self._of_known(rows)
        return found

    @abstractmethod
    def _learned(self, rows: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What the state holds beside the standardisation."""

    @abstractmethod
    def _of_known(self, rows: Tensor) -> Tensor:
        """Probabilities `(N, K)`."""

    def _standard(self, rows: Tensor) -> Tensor:
        return (rows - self.state["mean"]) * self.state["scale"]


class Linear(Classifier):
    """A weight for each number and class, then softmax.

    Args:
        model: of scikit-learn, linear; None where the state is given.
        sharpness: margins are multiplied by this before softmax.
        state: of one that was fitted.
    """

    def __init__(self, model: Any = None, sharpness: float = 1.0, state: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(state)
        self.model, self.sharpness = model, sharpness

    def _learned(self, rows: Tensor, labels: Tensor) -> dict[str, Tensor]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of not having converged: what it has found by then is used
            self.model.fit(rows.numpy(), labels.numpy())
        weight, bias = (self.sharpness * torch.from_numpy(each) for each in (self.model.coef_, self.model.intercept_))
        if len(weight) == 1:  # of two classes scikit-learn keeps the margin of the second
            weight, bias = torch.cat([-weight / 2, weight / 2]), torch.cat([-bias / 2, bias / 2])
        return {"weight": weight, "bias": bias}

    def _of_known(self, rows: Tensor) -> Tensor:
        return (rows @ self.state["weight"].T + self.state["bias"]).softmax(1)


class Nearest(Classifier):
    """The classes of the nearest embeddings by angle, the nearer the weightier.

    Args:
        neighbours: how many.
        state: of one that was fitted.
    """

    def __init__(self, neighbours: int = 5, state: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(state)
        self.neighbours = neighbours

    def _learned(self, rows: Tensor, labels: Tensor) -> dict[str, Tensor]:
        if self.neighbours > len(rows):
            raise InputError(f"{self.neighbours} nearest neighbours cannot be found among {len(rows)} examples")
        return {"rows": rows, "labels": labels, "neighbours": torch.tensor(self.neighbours)}

    def _of_known(self, rows: Tensor) -> Tensor:
        from sklearn.neighbors import KNeighborsClassifier

        model = KNeighborsClassifier(int(self.state["neighbours"]), weights="distance", metric="cosine")
        model.fit(self.state["rows"].numpy(), self.state["labels"].numpy())
        return torch.from_numpy(model.predict_proba(rows.numpy()))


def make_classifier(name: str, seed: int = 0, *, C: float = 1.0, neighbours: int = 5) -> Classifier:
    """A classifier that is yet to be fitted.

    The support vector machine knows margins, not probabilities: a softmax of them stands in.

    Args:
        name: logistic (multinomial), svm (linear, one against the rest) or knn (nearest neighbours).
        seed: of what is random in it.
        C: inverse of the regularisation of the first two, scikit-learn's C.
        neighbours: of knn.

    Raises:
        InputError: unknown name.
    """
    check_choice("classifier", name, CLASSIFIERS)
    if name == "logistic":
        from sklearn.linear_model import LogisticRegression

        return Linear(LogisticRegression(C=C, max_iter=ITERATIONS, random_state=seed))
    if name == "svm":
        from sklearn.svm import LinearSVC

        return Linear(LinearSVC(C=C, random_state=seed), SHARPNESS)
    return Nearest(neighbours)


def fitted(state: Mapping[str, Tensor]) -> Classifier:
    """The classifier that had this state."""
    return Nearest(state=state) if "rows" in state else Linear(state=state)


def _finite(embeddings: Tensor) -> Tensor:
    if not bool(embeddings.isfinite().all()):
        raise InputError("embeddings are made of finite numbers, here are others: the encoders are broken")
    return embeddings.double()
