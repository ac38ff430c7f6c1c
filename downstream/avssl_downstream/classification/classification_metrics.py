"""What is written of a classification: numbers, a confusion matrix, a table of classes, every prediction."""

# N examples, C classes

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch
from torch import Tensor

from avssl.errors import InputError
from avssl.evaluation.bootstrap import accuracy_interval
from avssl.io.atomic import replacing, write_text
from avssl_downstream.classification.confusion import confusion, draw_confusion

TOP = 5
RESAMPLINGS = 2000
LEAST = 1e-12
"""A probability of zero would cost infinitely much; scikit-learn's and DCASE's log-losses have floors, too."""


def write_outcome(
    folder: Path,
    labelled_name: str,
    fold: str,
    classes: Sequence[str],
    keys: Sequence[str],
    labels: Tensor,
    scores: Tensor,
    *,
    groups: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, float]:
    """Leave `confusion.png`, `classes.csv`, `predictions.csv` and `outcome.json` in a folder, and return the numbers.

    Args:
        folder: made if missing.
        labelled_name: of the data set; stands in the picture.
        fold: likewise.
        classes: their names.
        keys: name each example.
        labels: `(N,)` class of each.
        scores: `(N, C)` probabilities.
        groups: of each example: what is resampled for the interval, as examples of one recording are alike; by
            default each example for itself.
        seed: of the resampling.

    Returns:
        `accuracy`, with `accuracy_low` and `accuracy_high` its 95 % bootstrap interval; `top5`, whether the class is
        among the five most probable; `class_accuracy`, the mean over classes of each one's accuracy; `log_loss`.

    Raises:
        InputError: no examples.
    """
    if not len(keys):
        raise InputError(f"{labelled_name}: {fold} has no example to test")
    counts = confusion(labels, scores)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "confusion.png") as part:
        draw_confusion(part, counts, classes, f"{labelled_name}, {fold}")
    _write_csv(folder / "classes.csv", ("class", "examples", "accuracy", "most_confused_with"), _table(counts, classes))
    names = ("key", "class", "predicted", *(f"p_{name}" for name in classes))
    _write_csv(folder / "predictions.csv", names, _predictions(classes, keys, labels, scores))
    found = measure(labels, scores) | _interval(labels, scores, groups or keys, seed)
    about = {"data": labelled_name, "fold": fold, "examples": len(keys), "classes": len(classes)}
    write_text(folder / "outcome.json", json.dumps(about | found, indent=2, ensure_ascii=False) + "\n")
    return found


def measure(labels: Tensor, scores: Tensor) -> dict[str, float]:
    """The numbers of `write_outcome` alone, without the interval: its resampling is wasted where several folds count.

    Args:
        labels: `(N,)` class of each example.
        scores: `(N, C)` probabilities.
    """
    counts = confusion(labels, scores)
    there = counts.sum(1) > 0
    among = (scores.topk(min(TOP, scores.shape[1]), 1).indices == labels[:, None]).any(1)
    own = scores.double().gather(1, labels[:, None]).clamp(min=LEAST)
    return {
        "accuracy": float((scores.argmax(1) == labels).double().mean()),
        "top5": float(among.float().mean()),
        "class_accuracy": float((counts.diagonal()[there] / counts.sum(1)[there]).mean()),
        "log_loss": float(-own.log().mean()),
    }


def _interval(labels: Tensor, scores: Tensor, groups: Sequence[str], seed: int) -> dict[str, float]:
    """`accuracy_low` and `accuracy_high`, with groups resampled."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    found = accuracy_interval(scores.argmax(1) == labels, torch.from_numpy(group), RESAMPLINGS, seed)
    return {"accuracy_low": found.low, "accuracy_high": found.high}


def over_folds(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Numbers of several folds as one: their mean, `NAME_deviation` (n - 1) beside it, and `NAME_FOLD` of each.

    Intervals within a fold are left out of several: the deviation says more. One fold keeps its own.
    """
    if len(found) == 1:
        return dict(next(iter(found.values())))
    folds = list(found.values())
    names = [name for name in folds[0] if not name.endswith(("_low", "_high"))]
    means = {name: fmean(each[name] for each in folds) for name in names}
    deviations = {f"{name}_deviation": stdev(each[name] for each in folds) for name in names}
    return means | deviations | {f"{name}_{fold}": each[name] for fold, each in found.items() for name in names}


def _table(counts: np.ndarray, classes: Sequence[str]) -> Iterable[tuple[object, ...]]:
    """Of each class: examples, accuracy, and with what it is most often confused."""
    for place, name in enumerate(classes):
        total, wrong = int(counts[place].sum()), counts[place].copy()
        wrong[place] = 0
        share = f"{counts[place, place] / total:.4f}" if total else ""
        yield name, total, share, classes[int(wrong.argmax())] if wrong.any() else ""


def _predictions(
    classes: Sequence[str], keys: Sequence[str], labels: Tensor, scores: Tensor
) -> Iterable[tuple[object, ...]]:
    best = scores.argmax(1).tolist()
    for key, label, most, row in zip(keys, labels.tolist(), best, scores.tolist(), strict=True):
        yield key, classes[label], classes[most], *(f"{value:.6f}" for value in row)


def _write_csv(path: Path, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with replacing(path) as part, part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)
