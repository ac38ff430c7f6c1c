"""Fine-tuning of towers with a linear classifier on segments of a data set."""

# B windows, W width of an embedding

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from avssl.config import TrainConfig
from avssl.data.augment import jitter_level
from avssl.data.clip_options import Reading
from avssl.data.loader import permutation
from avssl.data.window_reader import read_window_audio, read_window_frames
from avssl.data.worker_loader import Batch, in_order
from avssl.datasets.dataset import Dataset, Recording
from avssl.embedding.batch_inference import embed
from avssl.io.atomic import replacing, write_text
from avssl.models.encoders import Encoders
from avssl.models.geometry import resolved
from avssl.regular_files import read_json
from avssl.runs.run_folder import check_same
from avssl.train.checkpoint import LAST
from avssl.train.loop import fit
from avssl_downstream.classification.cross_validation import Predictor, Split
from avssl_downstream.classification.options import SegmentOptions
from avssl_downstream.classification.segments import group_by_segment, window_sources
from avssl_downstream.classification.tower_classifier import TowerClassifier

SETTINGS = "finetune.json"
MAY_CHANGE = ("root", "workers", "title", "published", "baselines", "ablate")
"""Options that may differ when fine-tuning is resumed."""
LEVEL_JITTER = 0.1
"""Relative range of the random gain of audio, as in AVSA."""


@dataclass(frozen=True)
class WindowBatches:
    """Batches of windows at random start times in segments; every pass draws each segment equally often."""

    segments: Sequence[Recording]
    labels: tuple[int, ...]
    root: Path
    towers: tuple[str, ...]
    reading: Reading
    sample_rate: int
    options: SegmentOptions

    @property
    def workers(self) -> int:
        """Loader processes."""
        return self.options.workers

    def between(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps `start` to `stop - 1`."""
        return in_order(self.read, range(start, stop), self.options.workers)

    @property
    def steps(self) -> int:
        """Number of batches in all passes."""
        return max(1, self.options.epochs * self.options.draws * len(self.segments) // self.options.batch)

    def read(self, step: int) -> Batch:
        """One batch."""
        batch = self.options.batch
        chosen = [self._segment_index(draw) for draw in range(step * batch, (step + 1) * batch)]
        rng = np.random.default_rng((self.options.seed, step))
        windows = [self._window(self.segments[index], rng) for index in chosen]
        inputs = {name: torch.stack([each[name] for each in windows]) for name in self.towers}
        return inputs | {"label": torch.tensor([self.labels[index] for index in chosen])}

    def _segment_index(self, draw: int) -> int:
        epoch, index = divmod(draw, len(self.segments))
        return int(permutation(len(self.segments), self.options.seed, epoch)[index])

    def _window(self, segment: Recording, rng: np.random.Generator) -> Batch:
        start = segment.start + rng.uniform(0, max(0.0, segment.seconds - self.reading.seconds))
        inputs = {}
        if "audio" in self.towers:
            audio = read_window_audio(self.root / segment.audio, start, self.reading, self.sample_rate)
            inputs["audio"] = jitter_level(audio, LEVEL_JITTER, rng)
        if "video" in self.towers:
            frames = read_window_frames(self.root / segment.video, start, self.reading)
            inputs["video"] = frames.flip(-1) if rng.random() < 0.5 else frames
        return inputs


def finetune_predictor(
    encoders: Encoders, dataset: Dataset, towers: tuple[str, ...], reading: Reading, options: SegmentOptions,
    folder: Path,
) -> Predictor:  # fmt: skip
    """Predictor that fine-tunes a copy of the towers on each fold; probabilities are averaged over windows.

    Interrupted training in the folder is resumed. Writes `FOLD/encoders` and `FOLD/classifier.safetensors`.

    Raises:
        InputError: the folder has a checkpoint of other encoders, data or options.
    """
    _init_folder(folder, {**asdict(options), "data_set": dataset.name, "begins_with": encoders.fingerprint()})

    def predict(split: Split) -> Tensor:
        torch.manual_seed(options.seed)
        tuned = deepcopy(encoders)
        network = TowerClassifier(tuned, towers, split.classes, options.dropout)
        segments = [dataset.recordings[index] for index in split.train.tolist()]
        labels = tuple(split.labels[split.train].tolist())
        windows = WindowBatches(segments, labels, dataset.root, towers, reading, encoders.sample_rate, options)
        config = TrainConfig(windows.steps, options.seed, options.precision)
        fit(network, windows, config, options.optim, folder / split.name, title=f"fine-tuning {split.name}")
        network.cpu().eval()
        _save(tuned, network, folder / split.name)
        return _predict(tuned, network, dataset, split, reading, options)

    return predict


def _init_folder(folder: Path, settings: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    if path.is_file() and any(folder.glob(f"*/{LAST}")):
        check_same(folder, read_json(path, "the settings of a fine-tuning in JSON"), settings, MAY_CHANGE)
    write_text(path, json.dumps(settings, indent=2) + "\n")


@torch.inference_mode()
def _predict(
    encoders: Encoders,
    network: TowerClassifier,
    dataset: Dataset,
    split: Split,
    reading: Reading,
    options: SegmentOptions,
) -> Tensor:
    """Probabilities `(tested, C)`."""
    tested = [dataset.recordings[index] for index in split.test.tolist()]
    tower_embeddings = []
    for tower in network.towers:
        files = window_sources(tested, dataset, tower, reading.seconds, resolved(options.hop))
        title = f"testing {split.name}"
        embedder, workers = getattr(encoders, tower), options.workers
        embedded = embed(embedder, files, reading, precision=options.precision, workers=workers, title=title)
        rows = [each for _, each in embedded]
        tower_embeddings.append(group_by_segment(files, rows, tested, tower, reading.seconds, resolved(options.hop)))
    return torch.stack(
        [network.head(torch.cat(parts, -1)).softmax(-1).mean(0) for parts in zip(*tower_embeddings, strict=True)]
    )


def _save(encoders: Encoders, network: TowerClassifier, folder: Path) -> None:
    encoders.save(folder / "encoders")
    with replacing(folder / "classifier.safetensors") as part:
        save_file(network.head.state_dict(), part)
