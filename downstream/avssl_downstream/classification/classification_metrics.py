"""Classification metrics, and their files: confusion matrix, table of classes, predictions."""

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
from avssl_downstream.classification.confusion import confusion_matrix, plot_confusion_matrix

TOP_K = 5
RESAMPLINGS = 2000
MIN_PROBABILITY = 1e-12
"""Floor of probabilities in the log-loss, which is infinite at 0; scikit-learn and DCASE have floors, too."""


def write_results(
    folder: Path,
    dataset_name: str,
    fold: str,
    classes: Sequence[str],
    keys: Sequence[str],
    labels: Tensor,
    scores: Tensor,
    *,
    groups: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, float]:
    """Write `confusion.png`, `classes.csv`, `predictions.csv` and `outcome.json`, and return the metrics.

    Args:
        folder: output folder, created if missing.
        dataset_name: for the title of the figure.
        fold: for the title of the figure.
        classes: class names.
        keys: name of each example.
        labels: `(N,)` class of each.
        scores: `(N, C)` probabilities.
        groups: group of each example, resampled for the interval, as examples of one recording are alike; default:
            each example is a group.
        seed: of the resampling.

    Returns:
        `accuracy`, with its 95 % bootstrap interval `accuracy_low` and `accuracy_high`; `top5`, share of examples
        whose class is among the five most probable; `class_accuracy`, mean over the accuracies of classes; `log_loss`.

    Raises:
        InputError: no examples.
    """
    if not len(keys):
        raise InputError(f"{dataset_name}: expected test examples, got none in {fold}")
    counts = confusion_matrix(labels, scores)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "confusion.png") as part:
        plot_confusion_matrix(part, counts, classes, f"{dataset_name}, {fold}")
    _write_csv(folder / "classes.csv", ("class", "examples", "accuracy", "most_confused_with"), _table(counts, classes))
    names = ("key", "class", "predicted", *(f"p_{name}" for name in classes))
    _write_csv(folder / "predictions.csv", names, _predictions(classes, keys, labels, scores))
    metrics = classification_metrics(labels, scores) | _interval(labels, scores, groups or keys, seed)
    about = {"data": dataset_name, "fold": fold, "examples": len(keys), "classes": len(classes)}
    write_text(folder / "outcome.json", json.dumps(about | metrics, indent=2, ensure_ascii=False) + "\n")
    return metrics


def classification_metrics(labels: Tensor, scores: Tensor) -> dict[str, float]:
    """Metrics of `write_results` without the interval.

    Args:
        labels: `(N,)` class of each example.
        scores: `(N, C)` probabilities.
    """
    counts = confusion_matrix(labels, scores)
    present = counts.sum(1) > 0
    in_top = (scores.topk(min(TOP_K, scores.shape[1]), 1).indices == labels[:, None]).any(1)
    true_probability = scores.double().gather(1, labels[:, None]).clamp(min=MIN_PROBABILITY)
    return {
        "accuracy": float((scores.argmax(1) == labels).double().mean()),
        "top5": float(in_top.float().mean()),
        "class_accuracy": float((counts.diagonal()[present] / counts.sum(1)[present]).mean()),
        "log_loss": float(-true_probability.log().mean()),
    }


def _interval(labels: Tensor, scores: Tensor, groups: Sequence[str], seed: int) -> dict[str, float]:
    """`accuracy_low` and `accuracy_high` by resampling groups."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    interval = accuracy_interval(scores.argmax(1) == labels, torch.from_numpy(group), RESAMPLINGS, seed)
    return {"accuracy_low": interval.low, "accuracy_high": interval.high}


def summarize_folds(fold_metrics: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean `NAME` of each metric over folds, with `NAME_deviation` (n - 1) and `NAME_FOLD` of each fold.

    Intervals within single folds are dropped unless there is only one fold.
    """
    if len(fold_metrics) == 1:
        return dict(next(iter(fold_metrics.values())))
    folds = list(fold_metrics.values())
    names = [name for name in folds[0] if not name.endswith(("_low", "_high"))]
    means = {name: fmean(each[name] for each in folds) for name in names}
    deviations = {f"{name}_deviation": stdev(each[name] for each in folds) for name in names}
    return means | deviations | {f"{name}_{fold}": each[name] for fold, each in fold_metrics.items() for name in names}


def _table(counts: np.ndarray, classes: Sequence[str]) -> Iterable[tuple[object, ...]]:
    """Rows of `classes.csv`: class, examples, accuracy, most frequent confusion."""
    for index, name in enumerate(classes):
        total, wrong = int(counts[index].sum()), counts[index].copy()
        wrong[index] = 0
        share = f"{counts[index, index] / total:.4f}" if total else ""
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
