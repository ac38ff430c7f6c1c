"""Training and test on one fold: a classifier on a frozen tower, or both fine-tuned."""

# N clips, W width of an embedding, C classes

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avssl.datasets.dataset import Dataset, Recording
from avssl.embedding.batch_inference import embed
from avssl.embedding.cache import cached_embeddings
from avssl.models.encoders import Encoders
from avssl.train.loop import fit
from avssl_downstream.action.clip_dataset import TrainingClips
from avssl_downstream.action.head_io import ActionClassifier, head_config, init_head_folder, save_head
from avssl_downstream.action.options import ActionOptions
from avssl_downstream.action.video_clips import clips_per_training_video, evenly_spaced_clips, last_clip_starts
from avssl_downstream.classification.classification_metrics import classification_metrics
from avssl_downstream.classification.cross_validation import Split
from avssl_downstream.classification.probes import classifier_from_state, make_classifier
from avssl_downstream.classification.tower_classifier import TowerClassifier


@dataclass
class FoldTrainer:
    """Predictor for `cross_validate`; also saves the fitted heads and collects metrics of clips and training.

    Args:
        encoders: initial weights; never modified.
        dataset: labelled videos.
        options: of the head.
        folder: for the fitted head; one subfolder a fold if there are several.
    """

    encoders: Encoders
    dataset: Dataset
    options: ActionOptions
    folder: Path

    def __post_init__(self) -> None:
        self.fold_metrics: dict[str, dict[str, float]] = {}
        """Fold name -> accuracies of single clips, and metrics of the training."""

    def predict(self, split: Split) -> Tensor:
        """Fit and save a head on the fold's training videos; probabilities `(tested, C)` of its test videos."""
        options, dataset = self.options, self.dataset
        folder = self.folder if len(dataset.folds) == 1 else self.folder / split.name
        init_head_folder(folder, head_config(self.encoders, options, dataset, split.name))
        training, tested = (
            [dataset.recordings[index] for index in each.tolist()] for each in (split.train, split.test)
        )
        fit_fold = self._frozen if options.mode == "frozen" else self._finetuned
        fitted, training_metrics = fit_fold(split, training, folder)
        save_head(folder, fitted)
        clips = torch.stack(self._embedded(fitted.encoders, tested, options.test_clips, f"testing {split.name}"))
        scores = fitted.classifier.probabilities(clips.flatten(0, 1), split.classes).view(*clips.shape[:2], -1)
        labels = split.labels[split.test].repeat_interleave(options.test_clips)
        clip_metrics = classification_metrics(labels, scores.flatten(0, 1))
        self.fold_metrics[split.name] = training_metrics | {
            f"clip_{name}": clip_metrics[name] for name in ("accuracy", "top5")
        }
        return scores.mean(1)

    def _frozen(
        self, split: Split, training: list[Recording], folder: Path
    ) -> tuple[ActionClassifier, dict[str, float]]:
        """Fit a classifier on frozen embeddings of evenly spaced clips, each an example of its own."""
        options, clips = self.options, clips_per_training_video(self.options, self.dataset)
        embeddings = torch.cat(self._embedded(self.encoders, training, clips, f"embedding {split.name}"))
        labels = split.labels[split.train].repeat_interleave(clips)
        classifier = make_classifier(options.classifier, options.seed, C=options.C, neighbours=options.neighbours)
        return ActionClassifier(self.encoders, classifier.fit(embeddings, labels), self.dataset.classes), {}

    def _finetuned(
        self, split: Split, training: list[Recording], folder: Path
    ) -> tuple[ActionClassifier, dict[str, float]]:
        """Train tower and linear layer together; resumes from the folder's checkpoint."""
        options, dataset = self.options, self.dataset
        passes = options.epochs * clips_per_training_video(options, dataset)
        last_starts = last_clip_starts(dataset, training, options.reading(), options.workers)
        paths = [dataset.root / each.video for each in training]
        clips = TrainingClips(paths, last_starts, split.labels[split.train], passes, options)
        torch.manual_seed(options.seed)
        encoders = deepcopy(self.encoders)
        network = TowerClassifier(encoders, ("video",), split.classes, options.dropout)
        config = options.training(clips.steps)
        metrics = fit(network, clips, config, options.optim, folder, title=f"fine-tuning {split.name}")
        network.cpu().eval()
        training_metrics = {f"train_{name}": metrics[name] for name in ("loss", "accuracy") if name in metrics}
        training_metrics |= {name: metrics[name] for name in ("steps", "train_seconds", "clips_per_second")}
        return ActionClassifier(encoders, classifier_from_state(_linear(network)), dataset.classes), training_metrics

    def _embedded(self, encoders: Encoders, recordings: list[Recording], clips: int, title: str) -> list[Tensor]:
        """Embeddings `(clips, W)` of each video; cached if the tower is frozen."""
        options = self.options
        reading = options.reading()
        videos = evenly_spaced_clips(self.dataset, recordings, reading, clips, options.workers)
        settings: dict[str, Any] = {
            "precision": options.precision,
            "workers": options.workers,
            "title": f"{title}, clips",
        }
        if options.mode == "frozen":
            return cached_embeddings(encoders.video, videos, reading, **settings)
        return [each for _, each in embed(encoders.video, videos, reading, **settings)]


def _linear(network: TowerClassifier) -> dict[str, Tensor]:
    """State of a classifier with the network's linear layer and identity standardisation."""
    layer = network.head[-1]
    assert isinstance(layer, nn.Linear)
    weight, bias = layer.weight.detach().double(), layer.bias.detach().double()
    width = weight.new_ones(weight.shape[1])
    return {"known": torch.arange(len(bias)), "mean": 0 * width, "scale": width, "weight": weight, "bias": bias}
