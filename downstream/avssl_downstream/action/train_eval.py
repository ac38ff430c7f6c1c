"""Learning from the videos of a fold: a classifier on a frozen tower, or the tower too."""

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
from avssl_downstream.action import head_io as folders
from avssl_downstream.action.clip_dataset import Clips
from avssl_downstream.action.head_io import ActionClassifier
from avssl_downstream.action.options import ActionOptions
from avssl_downstream.action.video_clips import clips_to_train, latest, spread
from avssl_downstream.classification.classification_metrics import measure
from avssl_downstream.classification.cross_validation import Split
from avssl_downstream.classification.network import Network
from avssl_downstream.classification.probes import fitted, make_classifier


@dataclass
class FoldTrainer:
    """Predictions for `judge`, and what else comes of them.

    Args:
        encoders: that are begun with; left as they are.
        labelled: the data set.
        options: of the head.
        folder: takes what is fitted; of several folds, each has a folder in it.
    """

    encoders: Encoders
    labelled: Dataset
    options: ActionOptions
    folder: Path

    def __post_init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}
        """Of each fold: accuracies of single clips, numbers of the training."""

    def predict(self, split: Split) -> Tensor:
        """Learn from what a fold trains on, keep it, and give probabilities `(tested, C)` of what it tests."""
        options, data = self.options, self.labelled
        folder = self.folder if len(data.folds) == 1 else self.folder / split.name
        folders.begin(folder, folders.describe(self.encoders, options, data, split.name))
        training, tested = ([data.recordings[place] for place in each.tolist()] for each in (split.train, split.test))
        learn = self._frozen if options.mode == "frozen" else self._finetuned
        recogniser, numbers = learn(split, training, folder)
        folders.write(folder, recogniser)
        clips = torch.stack(self._embedded(recogniser.encoders, tested, options.test_clips, f"testing {split.name}"))
        scores = recogniser.classifier.probabilities(clips.flatten(0, 1), split.classes).view(*clips.shape[:2], -1)
        labels = split.labels[split.test].repeat_interleave(options.test_clips)
        alone = measure(labels, scores.flatten(0, 1))
        self.found[split.name] = numbers | {f"clip_{name}": alone[name] for name in ("accuracy", "top5")}
        return scores.mean(1)

    def _frozen(
        self, split: Split, training: list[Recording], folder: Path
    ) -> tuple[ActionClassifier, dict[str, float]]:
        """A classifier of evenly spread clips, each for itself."""
        options, clips = self.options, clips_to_train(self.options, self.labelled)
        embeddings = torch.cat(self._embedded(self.encoders, training, clips, f"embedding {split.name}"))
        labels = split.labels[split.train].repeat_interleave(clips)
        classifier = make_classifier(options.classifier, options.seed, C=options.C, neighbours=options.neighbours)
        return ActionClassifier(self.encoders, classifier.fit(embeddings, labels), self.labelled.classes), {}

    def _finetuned(
        self, split: Split, training: list[Recording], folder: Path
    ) -> tuple[ActionClassifier, dict[str, float]]:
        """Tower and linear layer, trained together; continues what the folder holds."""
        options, data = self.options, self.labelled
        passes = options.epochs * clips_to_train(options, data)
        ends = latest(data, training, options.reading(), options.workers)
        paths = [data.root / each.video for each in training]
        clips = Clips(paths, ends, split.labels[split.train], passes, options)
        torch.manual_seed(options.seed)
        tuned = deepcopy(self.encoders)
        network = Network(tuned, ("video",), split.classes, options.dropout)
        config = options.training(clips.steps)
        numbers = fit(network, clips, config, options.optim, folder, title=f"fine-tuning {split.name}")
        network.cpu().eval()
        wanted = {f"train_{name}": numbers[name] for name in ("loss", "accuracy") if name in numbers}
        wanted |= {name: numbers[name] for name in ("steps", "train_seconds", "clips_per_second")}
        return ActionClassifier(tuned, fitted(_linear(network)), data.classes), wanted

    def _embedded(self, encoders: Encoders, examples: list[Recording], clips: int, title: str) -> list[Tensor]:
        """Of each video, embeddings `(clips, W)`; those of a frozen tower are cached."""
        options = self.options
        reading = options.reading()
        videos = spread(self.labelled, examples, reading, clips, options.workers)
        settings: dict[str, Any] = {
            "precision": options.precision,
            "workers": options.workers,
            "title": f"{title}, clips",
        }
        if options.mode == "frozen":
            return cached_embeddings(encoders.video, videos, reading, **settings)
        return [each for _, each in embed(encoders.video, videos, reading, **settings)]


def _linear(network: Network) -> dict[str, Tensor]:
    """The linear layer of a network as the state of a classifier, which standardises nothing."""
    layer = network.head[-1]
    assert isinstance(layer, nn.Linear)
    weight, bias = layer.weight.detach().double(), layer.bias.detach().double()
    width = weight.new_ones(weight.shape[1])
    return {"known": torch.arange(len(bias)), "mean": 0 * width, "scale": width, "weight": weight, "bias": bias}
