"""Action recognition: what encoders know of what people do (protocol of Morgado 2020)."""

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
from avssl.models.encoders import Encoders
from avssl.runs.run_folder import add_metrics, write_config
from avssl.train.signals import interrupt_on_sigterm
from avssl_downstream.action import head_io as folders
from avssl_downstream.action.head_io import ActionClassifier
from avssl_downstream.action.options import ActionOptions
from avssl_downstream.action.predict import predict_actions
from avssl_downstream.action.train_eval import FoldTrainer
from avssl_downstream.action.video_clips import read_labelled
from avssl_downstream.classification.classification_metrics import over_folds
from avssl_downstream.classification.cross_validation import cross_validate
from avssl_downstream.classification.missing_files import report_missing
from avssl_downstream.classification.random_baseline import random_encoders

logger = logging.getLogger(f"avssl.{__name__}")


class Action(Head):
    """Tells what is done in videos: UCF101, HMDB51, any folder of classes, or the built-in actions.

    Args:
        encoders: pretrained towers; left as they are.
        options: data, clips, classifier, fine-tuning.

    Raises:
        InputError: the encoders have no video tower, or neither they nor the options give a geometry.
    """

    Options = ActionOptions
    encoders: Encoders
    options: ActionOptions

    def __init__(self, encoders: Encoders, options: ActionOptions) -> None:
        if not isinstance(getattr(encoders, "video", None), nn.Module):
            raise InputError("action needs encoders with a video tower, these have none")
        self.encoders = random_encoders(encoders, options.seed) if options.from_scratch else encoders
        self.options = options.with_geometry(encoders)
        self.recogniser: ActionClassifier | None = None

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Action:
        """A head fitted in `folder`; `settings` may change how files are read, see `folder.FREE`.

        Raises:
            InputError: no such folder, a broken file, or settings that need another fit.
        """
        recogniser, options = folders.read(folder, settings)
        head = cls(recogniser.encoders, options)
        head.recogniser = recogniser
        return head

    def fit(self, folder: Path) -> dict[str, float]:
        """Learn and test, each split asked for; fine-tuning that was begun in the folder is continued.

        Leaves `config.json` and `action.safetensors` (of several splits, each in a folder of its own), `config.yaml`,
        `metrics.json`, `confusion.png`, `classes.csv`, `predictions.csv`, and `missing.txt` where files are missing.

        Returns:
            Of videos `accuracy`, `top5`, `class_accuracy`, `log_loss`; of single clips `clip_accuracy`, `clip_top5`; of
            several splits their means, each with `_deviation`; `accuracy_low` and `accuracy_high`, the 95 % interval
            with recordings resampled; how many videos were trained on and tested.

        Raises:
            InputError: unusable data, or a folder of another run.
            OSError: something cannot be read or written.
            SystemExit: with code 0, after saving, when SIGTERM or Ctrl-C came while training.
        """
        with interrupt_on_sigterm():
            labelled = read_labelled(self.options)
            _report(labelled, folder)
            fitting = FoldTrainer(self.encoders, labelled, self.options, folder)
            found = cross_validate(labelled, fitting.predict, folder, self.options.seed)
        numbers = over_folds(fitting.found)
        config = self._config(labelled, math.floor(numbers.get("steps", 0)))
        write_config(folder, config)
        about = {
            "train_videos": fmean(len(fold.train) for fold in labelled.folds),
            "test_videos": fmean(len(fold.test) for fold in labelled.folds),
            "missing_videos": float(len(labelled.missing_names)),
            "classes": float(len(labelled.classes)),
            "seed": float(self.options.seed),
        }
        # Recordings that decide together are of scenes; a recording of actions is of several.
        videos_alone = {name: value for name, value in found.items() if not name.startswith("recording_")}
        return add_metrics(folder, videos_alone | numbers | about)

    def apply(self, source: Path, target: Path) -> None:
        """Write what is probably done in a video, or in each below a folder: a csv with a probability for each class.

        Raises:
            InputError: the head was not fitted, no video, or a broken one.
            OSError: something cannot be read or written.
        """
        if self.recogniser is None:
            raise InputError(f"{source}: action needs a fitted head: give its folder (--head)")
        paths, base = _videos(source), source if source.is_dir() else source.parent
        with interrupt_on_sigterm(), replacing(target) as part, part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("file", "predicted", *(f"p_{name}" for name in self.recogniser.classes)))
            for path, scores in predict_actions(self.recogniser, paths, self.options):
                best = self.recogniser.classes[int(scores.argmax())]
                writer.writerow((path.relative_to(base), best, *(f"{score:.6f}" for score in scores.tolist())))

    def _config(self, labelled: Dataset, steps: int) -> dict[str, Any]:
        """What `config.yaml` says, as `avssl report` reads it; `steps` of fine-tuning, or 0."""
        options, model = self.options, asdict(self.encoders.model_config)
        settings = {key: value for key, value in asdict(options).items() if key not in ("seed", "root", "workers")}
        features = self.encoders.feature_config.name
        kinds = ("from scratch" if options.from_scratch else "", "single frames" if options.single_frame else "")
        title = options.title or ", ".join(filter(None, (labelled.name, features, options.mode, *kinds)))
        train = {"seed": options.seed} | ({"steps": steps} if steps else {})
        about = {"task": "action", "features": {"name": features}, "model": model, "train": train}
        return {**settings, **about, "data_set": labelled.name, "title": title}


def _videos(source: Path) -> list[Path]:
    """A video, or those below a folder."""
    if not source.is_dir():
        return [source]
    found = [folder / name for folder, _, names in walk(source) for name in names]
    videos = [path for path in found if path.suffix.lower() in VIDEO_SUFFIXES]
    if not videos:
        raise InputError(f"{source}: expected a video, or a folder of videos; this folder has none")
    return videos


def _report(labelled: Dataset, folder: Path) -> None:
    """Say what is learned from and tested, and what is missing."""
    folds = ", ".join(
        f"{each.name} ({len(each.train)} to train on, {len(each.test)} tested)" for each in labelled.folds
    )
    logger.info("%s: %d classes, videos of %s", labelled.name, len(labelled.classes), folds)
    report_missing(labelled, folder, "videos")
