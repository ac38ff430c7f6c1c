"""Classifiers on frozen embeddings, by name; each standardises what it is fitted to."""

# N embeddings, W numbers of each, C classes

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from avssl.config import check_choice

CLASSIFIERS = ("logistic", "svm", "knn")
ITERATIONS = 2000
"""Most that logistic regression takes."""
SHARPNESS = 4.0
"""Margins of the support vector machine are multiplied by this before softmax; it changes no decision."""


class Classifier:
    """Standardised embeddings to probabilities of classes.

    Args:
        model: of scikit-learn, with `fit`, `classes_`, and `predict_proba` or else `decision_function`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.mean, self.scale = np.zeros(1), np.ones(1)

    def fit(self, embeddings: Tensor, labels: Tensor) -> Self:
        """Learn from `(N, W)` embeddings of classes `(N,)`.

        Raises:
            ValueError: fewer than two classes among them, or numbers that are not finite.
        """
        if len(labels.unique()) < 2:
            raise ValueError(f"a classifier learns from two or more classes, {len(labels)} examples show fewer")
        rows = _rows(embeddings)
        self.mean, self.scale = rows.mean(0), 1 / (rows.std(0) + 1e-6)
        if (count := getattr(self.model, "n_neighbors", 0)) > len(rows):
            raise ValueError(f"{count} nearest neighbours cannot be found among {len(rows)} examples")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of not having converged: what it has found by then is used
            self.model.fit(self._standard(rows), labels.numpy())
        return self

    def probabilities(self, embeddings: Tensor, classes: int) -> Tensor:
        """Float64 `(N, C)`; a class that was not learned from has probability 0.

        The support vector machine knows margins, not probabilities: these are a softmax of them.

        Args:
            embeddings: `(N, W)`.
            classes: of the data set.
        """
        rows = self._standard(_rows(embeddings))
        if hasattr(self.model, "predict_proba"):
            known = self.model.predict_proba(rows)
        else:
            margins = self.model.decision_function(rows)
            margins = np.stack([-margins, margins], 1) if margins.ndim == 1 else margins
            known = torch.from_numpy(SHARPNESS * margins).softmax(1).numpy()
        found = np.zeros((len(rows), classes))
        found[:, self.model.classes_] = known
        return torch.from_numpy(found)

    def _standard(self, rows: np.ndarray) -> np.ndarray:
        standard: np.ndarray = (rows - self.mean) * self.scale
        return standard


def make_classifier(name: str, seed: int = 0, *, strength: float = 1.0, neighbours: int = 5) -> Classifier:
    """A classifier that is yet to be fitted.

    Args:
        name: logistic (multinomial), svm (linear, one against the rest) or knn (cosine, the nearer the weightier).
        seed: of what is random in it.
        strength: inverse of the regularisation of the first two, scikit-learn's C.
        neighbours: of knn.

    Raises:
        ValueError: unknown name.
    """
    check_choice("classifier", name, CLASSIFIERS)
    if name == "logistic":
        from sklearn.linear_model import LogisticRegression

        return Classifier(LogisticRegression(C=strength, max_iter=ITERATIONS, random_state=seed))
    if name == "svm":
        from sklearn.svm import LinearSVC

        return Classifier(LinearSVC(C=strength, random_state=seed))
    from sklearn.neighbors import KNeighborsClassifier

    return Classifier(KNeighborsClassifier(neighbours, weights="distance", metric="cosine"))


def _rows(embeddings: Tensor) -> np.ndarray:
    if not bool(embeddings.isfinite().all()):
        raise ValueError("embeddings are made of finite numbers, here are others: the encoders are broken")
    return embeddings.double().numpy()
