"""Action recognition with frozen or fine-tuned video towers (protocol of Morgado 2020)."""

from __future__ import annotations

import csv
import logging
import math
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import nn

from avssl.datasets.dataset import Dataset
from avssl.datasets.layouts.files import VIDEO_SUFFIXES, walk
from avssl.errors import InputError
from avssl.head import Head
from avssl.io.atomic import replacing
from avssl.io.folder_lock import file_lock, locks_folder
from avssl.io.interrupts import interrupt_on_signals
from avssl.models.encoders import Encoders
from avssl.runs.run_folder import add_metrics, write_config
from avssl_downstream.action.head_io import ActionClassifier, load_head
from avssl_downstream.action.options import ActionOptions
from avssl_downstream.action.predict import predict_actions
from avssl_downstream.action.train_eval import FoldTrainer
from avssl_downstream.action.video_clips import read_dataset
from avssl_downstream.classification.classification_metrics import summarize_folds
from avssl_downstream.classification.cross_validation import cross_validate
from avssl_downstream.classification.missing_files import report_missing_files
from avssl_downstream.classification.random_baseline import random_encoders

logger = logging.getLogger(f"avssl.{__name__}")


class Action(Head):
    """Action recognition on UCF101, HMDB51, any folder of classes, or synthetic actions.

    Args:
        encoders: pretrained towers; never modified.
        options: data, clips, classifier, fine-tuning.

    Raises:
        InputError: the encoders have no video tower, or neither they nor the options give a geometry.
    """

    Options = ActionOptions
    encoders: Encoders
    options: ActionOptions

    def __init__(self, encoders: Encoders, options: ActionOptions) -> None:
        if not isinstance(getattr(encoders, "video", None), nn.Module):
            raise InputError("action: expected encoders with a video tower, these have none")
        self.encoders = random_encoders(encoders, options.seed) if options.from_scratch else encoders
        self.options = options.with_geometry(encoders)
        self.action_classifier: ActionClassifier | None = None

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Action:
        """Load a fitted head; `settings` may override `head_io.INFERENCE_OPTIONS`.

        Raises:
            InputError: no such folder, a broken file, or settings that require fitting again.
        """
        action_classifier, options = load_head(folder, settings)
        head = cls(action_classifier.encoders, options)
        head.action_classifier = action_classifier
        return head

    @locks_folder
    def fit(self, folder: Path) -> dict[str, float]:
        """Train and test on each chosen split; interrupted fine-tuning in the folder is resumed.

        Writes `config.json` and `action.safetensors` (one folder a split if there are several), `config.yaml`,
        `metrics.json`, `confusion.png`, `classes.csv`, `predictions.csv`, and `missing.txt` if files are missing.

        Returns:
            Video metrics `accuracy`, `top5`, `class_accuracy`, `log_loss`; clip metrics `clip_accuracy`, `clip_top5`;
            over several splits their means, each with `_deviation`; `accuracy_low` and `accuracy_high`, the 95 %
            interval with recordings resampled; numbers of training and test videos.

        Raises:
            InputError: invalid data, or a folder of another run.
            OSError: a file cannot be read or written.
            SystemExit: code 0, after saving a checkpoint, on SIGTERM, SIGHUP or Ctrl-C.
        """
        with interrupt_on_signals():
            dataset = read_dataset(self.options)
            _log_dataset(dataset, folder)
            trainer = FoldTrainer(self.encoders, dataset, self.options, folder)
            metrics = cross_validate(dataset, trainer.predict, folder, self.options.seed)
        fold_metrics = summarize_folds(trainer.fold_metrics)
        config = self._config(dataset, math.floor(fold_metrics.get("steps", 0)))
        write_config(folder, config)
        counts = {
            "train_videos": fmean(len(fold.train) for fold in dataset.folds),
            "test_videos": fmean(len(fold.test) for fold in dataset.folds),
            "missing_videos": float(len(dataset.missing_names)),
            "classes": float(len(dataset.classes)),
            "seed": float(self.options.seed),
        }
        # A recording has one acoustic scene but several actions: recording metrics do not apply.
        video_metrics = {name: value for name, value in metrics.items() if not name.startswith("recording_")}
        return add_metrics(folder, video_metrics | fold_metrics | counts)

    def apply(self, source: Path, target: Path) -> None:
        """Predict the action in a video, or in each below a folder: a csv with one probability a class.

        Raises:
            InputError: the head is not fitted, no video, or a broken one.
            OSError: a file cannot be read or written.
        """
        if self.action_classifier is None:
            raise InputError(f"{source}: action needs a fitted head; give its folder (--head)")
        paths, base = _videos(source), source if source.is_dir() else source.parent
        with (
            interrupt_on_signals(),
            file_lock(target),
            replacing(target) as part,
            part.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(("file", "predicted", *(f"p_{name}" for name in self.action_classifier.classes)))
            for path, scores in predict_actions(self.action_classifier, paths, self.options):
                best = self.action_classifier.classes[int(scores.argmax())]
                writer.writerow((path.relative_to(base), best, *(f"{score:.6f}" for score in scores.tolist())))

    def _config(self, dataset: Dataset, steps: int) -> dict[str, Any]:
        """Content of `config.yaml` for `avssl report`; `steps` of fine-tuning, or 0."""
        options, model = self.options, asdict(self.encoders.model_config)
        settings = {key: value for key, value in asdict(options).items() if key not in ("seed", "root", "workers")}
        features = self.encoders.feature_config.name
        variants = ("from scratch" if options.from_scratch else "", "single frames" if options.single_frame else "")
        title = options.title or ", ".join(filter(None, (dataset.name, features, options.mode, *variants)))
        train = {"seed": options.seed} | ({"steps": steps} if steps else {})
        about = {"task": "action", "features": {"name": features}, "model": model, "train": train}
        return {**settings, **about, "data_set": dataset.name, "title": title}


def _videos(source: Path) -> list[Path]:
    """The video itself, or all videos below a folder."""
    if not source.is_dir():
        return [source]
    paths = [folder / name for folder, _, names in walk(source) for name in names]
    videos = [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES]
    if not videos:
        raise InputError(f"{source}: expected a video or a folder of videos, got a folder without any")
    return videos


def _log_dataset(dataset: Dataset, folder: Path) -> None:
    """Log classes, folds and missing videos."""
    folds = ", ".join(f"{each.name} ({len(each.train)} to train on, {len(each.test)} tested)" for each in dataset.folds)
    logger.info("%s: %d classes, videos of %s", dataset.name, len(dataset.classes), folds)
    report_missing_files(dataset, folder, "videos")
