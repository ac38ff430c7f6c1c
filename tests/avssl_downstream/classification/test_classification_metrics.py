"""Classification metrics and their files against scikit-learn."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avssl_downstream.classification.classification_metrics import (
    classification_metrics,
    summarize_folds,
    write_results,
)
from avssl_downstream.classification.cross_validation import cross_validate
from sklearn import metrics
from torch import Tensor

from avssl.datasets.dataset import Dataset, Fold, Recording
from avssl.evaluation.bootstrap import Interval, accuracy_interval

CLASSES = ("hug", "p$\\x$ &y", "[run]", "Ärger", "#5", "six", "seven")


def labels_and_scores(count: int = 200, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Labels, and probabilities correlated with them; no example is of the last class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(len(CLASSES) - 1, (count,), generator=generator)
    logits = torch.randn(count, len(CLASSES), generator=generator, dtype=torch.float64)
    logits[torch.arange(count), labels] += 1.2
    return labels, logits.softmax(1)


def test_metrics_match_scikit_learn() -> None:
    labels, scores = labels_and_scores()
    found = classification_metrics(labels, scores)
    best, names = scores.argmax(1), list(range(len(CLASSES)))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, best))
    assert found["class_accuracy"] == pytest.approx(
        metrics.recall_score(labels, best, average="macro", labels=names[:-1])
    )
    assert found["log_loss"] == pytest.approx(metrics.log_loss(labels, scores, labels=names))
    assert found["top5"] == pytest.approx(metrics.top_k_accuracy_score(labels, scores, k=5, labels=names))


def test_grouped_examples_widen_the_interval(tmp_path: Path) -> None:
    labels, scores = labels_and_scores(40)
    labels, scores = labels.repeat_interleave(10), scores.repeat_interleave(10, 0)
    keys = [str(place) for place in range(400)]
    groups = {"single": keys, "grouped": [str(place // 10) for place in range(400)]}
    single, grouped = (
        write_results(tmp_path / name, "synthetic", "split1", CLASSES, keys, labels, scores, groups=each)
        for name, each in groups.items()
    )
    assert single["accuracy_low"] < single["accuracy"] < single["accuracy_high"]
    widths = [each["accuracy_high"] - each["accuracy_low"] for each in (single, grouped)]
    assert widths[1] == pytest.approx(np.sqrt(10) * widths[0], rel=0.3)


def test_tables_agree_with_the_metrics(tmp_path: Path) -> None:
    labels, scores = labels_and_scores()
    keys = [f"a, b/{place}.avi" for place in range(len(labels))]
    found = write_results(tmp_path / "new", "synthetic $", "split1", CLASSES, keys, labels, scores)
    assert (tmp_path / "new" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    about = json.loads((tmp_path / "new" / "outcome.json").read_text(encoding="utf-8"))
    assert about == {"data": "synthetic $", "fold": "split1", "examples": 200, "classes": 7, **found}
    with (tmp_path / "new" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == keys
    assert np.mean([row["class"] == row["predicted"] for row in rows]) == pytest.approx(found["accuracy"])
    assert float(rows[3]["p_[run]"]) == pytest.approx(float(scores[3, 2]), abs=1e-6)
    with (tmp_path / "new" / "classes.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert sum(int(row["examples"]) for row in table) == len(labels)
    assert table[-1] == {"class": "seven", "examples": "0", "accuracy": "", "most_confused_with": ""}
    matrix = metrics.confusion_matrix(labels, scores.argmax(1), labels=range(len(CLASSES)))
    np.fill_diagonal(matrix, 0)
    assert table[1]["most_confused_with"] == CLASSES[int(matrix[1].argmax())]


def test_folds_are_summarized_by_mean_and_deviation() -> None:
    folds = {"split1": {"accuracy": 0.5, "accuracy_low": 0.4}, "split2": {"accuracy": 0.7, "accuracy_low": 0.6}}
    found = summarize_folds(folds)
    assert found.pop("accuracy_deviation") == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert found == {"accuracy": pytest.approx(0.6), "accuracy_split1": 0.5, "accuracy_split2": 0.7}
    assert summarize_folds({"split1": folds["split1"]}) == folds["split1"]


def test_intervals_are_resampled_once_for_all_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def counted(correct: Tensor, *more: Any) -> Interval:
        sizes.append(len(correct))
        return accuracy_interval(correct, *more)

    monkeypatch.setattr(f"{write_results.__module__}.accuracy_interval", counted)
    labels, scores = labels_and_scores(30)
    keys = [f"{place}.wav" for place in range(30)]
    examples = tuple(
        Recording(key, audio=key, label=CLASSES[label], group=key) for key, label in zip(keys, labels, strict=True)
    )
    folds = tuple(Fold(str(k), tuple(keys[k + 1 :] + keys[:k]), (keys[k],)) for k in range(30))
    found = cross_validate(
        Dataset("waveforms", tmp_path, examples, CLASSES, folds), lambda split: scores[split.test], tmp_path, 0
    )
    assert sizes == [30]
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]
