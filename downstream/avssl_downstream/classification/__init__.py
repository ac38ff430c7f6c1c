"""Classifiers on frozen embeddings, and what is written of any classification: shared by the heads that classify."""

from avssl_downstream.classification.classification_metrics import over_folds, write_outcome
from avssl_downstream.classification.probes import CLASSIFIERS, Classifier, fitted, make_classifier

__all__ = ["CLASSIFIERS", "Classifier", "fitted", "make_classifier", "over_folds", "write_outcome"]
