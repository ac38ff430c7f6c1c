"""Probe: a classifier on frozen segment embeddings."""

# N segments, W embedding width

from __future__ import annotations

from torch import Tensor

from avssl_downstream.classification.cross_validation import Predictor, Split
from avssl_downstream.classification.options import SegmentOptions
from avssl_downstream.classification.probes import make_classifier


def probe_predictor(embeddings: Tensor, options: SegmentOptions, tested: Tensor | None = None) -> Predictor:
    """Predictor that fits a classifier on embeddings `(N, W)`; `tested`: other embeddings for the test part."""

    def predict(split: Split) -> Tensor:
        classifier = make_classifier(options.classifier, options.seed, C=options.C, neighbours=options.neighbours)
        classifier.fit(embeddings[split.train], split.labels[split.train])
        return classifier.probabilities((embeddings if tested is None else tested)[split.test], split.classes)

    return predict
