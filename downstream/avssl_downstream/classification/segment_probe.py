"""Classifiers of segments by their embeddings."""

# N segments, W numbers of an embedding

from __future__ import annotations

from torch import Tensor

from avssl_downstream.classification.cross_validation import Predict, Split
from avssl_downstream.classification.options import SegmentOptions
from avssl_downstream.classification.probes import make_classifier


def probe(embeddings: Tensor, options: SegmentOptions, tested: Tensor | None = None) -> Predict:
    """Predictions by a classifier on embeddings `(N, W)`, or on others `tested` of the same segments."""

    def predict(split: Split) -> Tensor:
        classifier = make_classifier(options.classifier, options.seed, C=options.C, neighbours=options.neighbours)
        classifier.fit(embeddings[split.train], split.labels[split.train])
        return classifier.probabilities((embeddings if tested is None else tested)[split.test], split.classes)

    return predict
