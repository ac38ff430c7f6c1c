"""Cross-validation over the folds of a data set, with metrics by segment and by recording."""

# N segments, C classes

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avssl.datasets.dataset import Dataset, Fold, Recording
from avssl.runs.evaluated_clips import EvaluatedClip, EvaluatedClips, with_embeddings, write_evaluated_clips
from avssl_downstream.classification.classification_metrics import (
    MIN_PROBABILITY,
    classification_metrics,
    summarize_folds,
    write_results,
)


class Split(NamedTuple):
    """One fold, by indices into the data set's recordings."""

    name: str
    train: Tensor
    test: Tensor
    labels: Tensor
    """`(N,)` class of every example."""
    classes: int


Predictor = Callable[[Split], Tensor]
"""Fits a classifier on the training part of a split and returns probabilities `(tested, C)`."""


def cross_validate(
    dataset: Dataset, predict: Predictor, folder: Path, seed: int, embeddings: Mapping[str, Tensor] | None = None
) -> dict[str, float]:
    """Fit and test on every fold; write confusion matrix, table of classes, predictions and clips of all folds.

    Args:
        dataset: segments, with folds.
        predict: fits on the training part and predicts the test part.
        folder: output folder.
        seed: of the resampling.
        embeddings: tower -> `(segments, width)`, stored with the clips; filled when all folds are predicted.

    Returns:
        `accuracy`, `log_loss` and others of `write_results`, over several folds their mean with `NAME_deviation` and
        `NAME_FOLD`; `accuracy_low` and `accuracy_high` over all segments, recordings resampled; `recording_accuracy`,
        with the probabilities of a recording's segments multiplied.
    """
    labels = torch.tensor([dataset.classes.index(each.label) for each in dataset.recordings])
    splits = [_split(fold, dataset, labels) for fold in dataset.folds]
    scores = {split.name: predict(split) for split in splits}
    groups = [each.group for each in dataset.recordings]
    fold_metrics = {
        split.name: _fold_metrics(labels[split.test], scores[split.name], _select(groups, split.test))
        for split in splits
    }
    tested = torch.cat([split.test for split in splits])
    keys, all_groups = _select([each.key for each in dataset.recordings], tested), _select(groups, tested)
    joined = torch.cat([scores[split.name] for split in splits])
    title = splits[0].name if len(splits) == 1 else f"{len(splits)} folds"
    pooled = write_results(
        folder, dataset.name, title, dataset.classes, keys, labels[tested], joined, groups=all_groups, seed=seed
    )
    write_evaluated_clips(folder, _evaluated(dataset, tested.tolist(), joined, embeddings or {}))
    return summarize_folds(fold_metrics) | {name: pooled[name] for name in ("accuracy_low", "accuracy_high")}


def _evaluated(
    dataset: Dataset, tested: Sequence[int], scores: Tensor, embeddings: Mapping[str, Tensor]
) -> EvaluatedClips:
    """The tested segments with the probability of their class as score."""
    chosen = [dataset.recordings[index] for index in tested]
    found = [_clip(each, dataset.classes, row) for each, row in zip(chosen, scores.double(), strict=True)]
    for tower, each in embeddings.items():
        found = with_embeddings(found, tower, each[list(tested)].float())
    return EvaluatedClips(tuple(found), dataset.root, "probability_of_class")


def _clip(segment: Recording, classes: Sequence[str], scores: Tensor) -> EvaluatedClip:
    return EvaluatedClip(
        segment.key, float(scores[classes.index(segment.label)]), segment.label, classes[int(scores.argmax())],
        segment.video, segment.audio, segment.start, segment.seconds,
    )  # fmt: skip


def late_fusion(predictors: Sequence[Predictor]) -> Predictor:
    """Late fusion: multiply the probabilities of several predictors, and normalise."""

    def predict(split: Split) -> Tensor:
        logs = [each(split).clamp(min=MIN_PROBABILITY).log() for each in predictors]
        return torch.stack(logs).sum(0).softmax(1)

    return predict


def aggregate_recordings(labels: Tensor, scores: Tensor, groups: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Label and probabilities of each recording: the normalised product over its segments.

    Args:
        labels: `(N,)`.
        scores: `(N, C)`.
        groups: recording of each segment; all its segments have one class.

    Returns:
        `(recordings,)` and `(recordings, C)`.
    """
    _, first, group_index = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    logs = torch.zeros(len(first), scores.shape[1], dtype=torch.float64)
    logs.index_add_(0, torch.from_numpy(group_index), scores.double().clamp(min=MIN_PROBABILITY).log())
    return labels[torch.from_numpy(first)], logs.softmax(1)


def with_suffix(metrics: Mapping[str, float], suffix: str) -> dict[str, float]:
    """Rename the main metrics of a further row: `accuracy_SUFFIX`, `accuracy_SUFFIX_low` and so on."""
    main = ("accuracy", "recording_accuracy", "log_loss")
    ends = ("", "_deviation", "_low", "_high")
    pairs = [(f"{name}{end}", f"{name}_{suffix}{end}") for name in main for end in ends]
    return {new: metrics[old] for old, new in pairs if old in metrics}


def _split(fold: Fold, dataset: Dataset, labels: Tensor) -> Split:
    position = {each.key: index for index, each in enumerate(dataset.recordings)}
    train, test = (torch.tensor([position[key] for key in keys]) for keys in (fold.train, fold.test))
    return Split(fold.name, train, test, labels, len(dataset.classes))


def _fold_metrics(labels: Tensor, scores: Tensor, groups: Sequence[str]) -> dict[str, float]:
    metrics = classification_metrics(labels, scores)
    label, score = aggregate_recordings(labels, scores, groups)
    return metrics | {"recording_accuracy": float((score.argmax(1) == label).double().mean())}


def _select(names: Sequence[str], indices: Tensor) -> list[str]:
    return [names[index] for index in indices.tolist()]
