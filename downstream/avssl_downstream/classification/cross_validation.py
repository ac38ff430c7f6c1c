"""How well examples are told apart over the folds of a data set, by example and by recording."""

# N segments, C classes

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avssl.datasets.dataset import Dataset, Fold
from avssl_downstream.classification.classification_metrics import LEAST, measure, over_folds, write_outcome


class Split(NamedTuple):
    """One fold, by places of examples."""

    name: str
    train: Tensor
    test: Tensor
    labels: Tensor
    """`(N,)` class of every example."""
    classes: int


Predict = Callable[[Split], Tensor]
"""Learns from what a split trains on and gives probabilities `(tested, C)`."""


def cross_validate(labelled: Dataset, predict: Predict, folder: Path, seed: int) -> dict[str, float]:
    """Predict every fold's test segments; leave confusion matrix, table of classes and predictions of all folds.

    Args:
        labelled: segments, with folds.
        predict: learns and predicts.
        folder: takes the files.
        seed: of the resampling.

    Returns:
        `accuracy`, `log_loss` and others of `write_outcome`, of several folds their mean with `NAME_deviation` and
        `NAME_FOLD`; `accuracy_low` and `accuracy_high` of all segments together, recordings resampled;
        `recording_accuracy`, where the segments of a recording decide together.
    """
    labels = torch.tensor([labelled.classes.index(each.label) for each in labelled.recordings])
    splits = [_split(fold, labelled, labels) for fold in labelled.folds]
    scores = {split.name: predict(split) for split in splits}
    groups = [each.group for each in labelled.recordings]
    found = {split.name: _measured(labels[split.test], scores[split.name], _at(groups, split.test)) for split in splits}
    tested = torch.cat([split.test for split in splits])
    keys, all_groups = _at([each.key for each in labelled.recordings], tested), _at(groups, tested)
    joined = torch.cat([scores[split.name] for split in splits])
    title = splits[0].name if len(splits) == 1 else f"{len(splits)} folds"
    whole = write_outcome(
        folder, labelled.name, title, labelled.classes, keys, labels[tested], joined, groups=all_groups, seed=seed
    )
    return over_folds(found) | {name: whole[name] for name in ("accuracy_low", "accuracy_high")}


def late(predictions: Sequence[Predict]) -> Predict:
    """Predictions that are each made for themselves and multiplied."""

    def predict(split: Split) -> Tensor:
        logs = [each(split).clamp(min=LEAST).log() for each in predictions]
        return torch.stack(logs).sum(0).softmax(1)

    return predict


def by_recording(labels: Tensor, scores: Tensor, groups: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Label and probabilities of each recording: the product of its segments', scaled to one.

    Args:
        labels: `(N,)`.
        scores: `(N, C)`.
        groups: the recording of each segment, of one class.

    Returns:
        `(recordings,)` and `(recordings, C)`.
    """
    _, first, place = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    logs = torch.zeros(len(first), scores.shape[1], dtype=torch.float64)
    logs.index_add_(0, torch.from_numpy(place), scores.double().clamp(min=LEAST).log())
    return labels[torch.from_numpy(first)], logs.softmax(1)


def named(metrics: Mapping[str, float], suffix: str) -> dict[str, float]:
    """The numbers of a row beside the first: `accuracy_SUFFIX`, `accuracy_SUFFIX_low` and so on."""
    wanted = ("accuracy", "recording_accuracy", "log_loss")
    ends = ("", "_deviation", "_low", "_high")
    pairs = [(f"{name}{end}", f"{name}_{suffix}{end}") for name in wanted for end in ends]
    return {new: metrics[old] for old, new in pairs if old in metrics}


def _split(fold: Fold, labelled: Dataset, labels: Tensor) -> Split:
    place = {each.key: index for index, each in enumerate(labelled.recordings)}
    train, test = (torch.tensor([place[key] for key in keys]) for keys in (fold.train, fold.test))
    return Split(fold.name, train, test, labels, len(labelled.classes))


def _measured(labels: Tensor, scores: Tensor, groups: Sequence[str]) -> dict[str, float]:
    found = measure(labels, scores)
    label, score = by_recording(labels, scores, groups)
    return found | {"recording_accuracy": float((score.argmax(1) == label).double().mean())}


def _at(names: Sequence[str], places: Tensor) -> list[str]:
    return [names[place] for place in places.tolist()]
