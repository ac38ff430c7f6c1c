"""Towers trained on segments of a data set, under a linear classifier."""

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
from avssl.runs.run_folder import check_same
from avssl.train.checkpoint import LAST
from avssl.train.loop import fit
from avssl_downstream.classification.cross_validation import Predict, Split
from avssl_downstream.classification.network import Network
from avssl_downstream.classification.options import SegmentOptions
from avssl_downstream.classification.segments import by_segment, sources

SETTINGS = "finetune.json"
MAY_CHANGE = ("root", "workers", "title", "published", "baselines", "ablate")
"""Settings that fine-tuning may be continued with though it was begun with others."""
LOUDER = 0.1
"""Sound is multiplied by up to so much more or less, as AVSA's is."""


@dataclass(frozen=True)
class Windows:
    """Batches of windows at random instants of segments; each pass shows every segment equally often."""

    examples: Sequence[Recording]
    labels: tuple[int, ...]
    root: Path
    towers: tuple[str, ...]
    reading: Reading
    sample_rate: int
    options: SegmentOptions

    def between(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps `start` to `stop - 1`."""
        return in_order(self.read, range(start, stop), self.options.workers)

    @property
    def steps(self) -> int:
        """Of all passes."""
        return max(1, self.options.epochs * self.options.draws * len(self.examples) // self.options.batch)

    def read(self, step: int) -> Batch:
        """One batch."""
        batch = self.options.batch
        chosen = [self._chosen(draw) for draw in range(step * batch, (step + 1) * batch)]
        rng = np.random.default_rng((self.options.seed, step))
        windows = [self._window(self.examples[place], rng) for place in chosen]
        found = {name: torch.stack([each[name] for each in windows]) for name in self.towers}
        return found | {"label": torch.tensor([self.labels[place] for place in chosen])}

    def _chosen(self, draw: int) -> int:
        epoch, place = divmod(draw, len(self.examples))
        return int(permutation(len(self.examples), self.options.seed, epoch)[place])

    def _window(self, example: Recording, rng: np.random.Generator) -> Batch:
        start = example.start + rng.uniform(0, max(0.0, example.seconds - self.reading.seconds))
        found = {}
        if "audio" in self.towers:
            audio = read_window_audio(self.root / example.audio, start, self.reading, self.sample_rate)
            found["audio"] = jitter_level(audio, LOUDER, rng)
        if "video" in self.towers:
            frames = read_window_frames(self.root / example.video, start, self.reading)
            found["video"] = frames.flip(-1) if rng.random() < 0.5 else frames
        return found


def finetuned(
    encoders: Encoders, labelled: Dataset, towers: tuple[str, ...], reading: Reading, options: SegmentOptions,
    folder: Path,
) -> Predict:  # fmt: skip
    """Predictions by towers trained anew for each fold; a segment's are the mean of its windows'.

    Training that was begun in the folder is continued. Leaves `FOLD/encoders` and `FOLD/classifier.safetensors`.

    Raises:
        InputError: what was begun there began with other encoders, data or options.
    """
    _begin(folder, {**asdict(options), "data_set": labelled.name, "begins_with": encoders.fingerprint()})

    def predict(split: Split) -> Tensor:
        torch.manual_seed(options.seed)
        tuned = deepcopy(encoders)
        network = Network(tuned, towers, split.classes, options.dropout)
        examples = [labelled.recordings[place] for place in split.train.tolist()]
        labels = tuple(split.labels[split.train].tolist())
        windows = Windows(examples, labels, labelled.root, towers, reading, encoders.sample_rate, options)
        config = TrainConfig(windows.steps, options.seed, options.precision)
        fit(network, windows, config, options.optim, folder / split.name, title=f"fine-tuning {split.name}")
        network.cpu().eval()
        _save(tuned, network, folder / split.name)
        return _predicted(tuned, network, labelled, split, reading, options)

    return predict


def _begin(folder: Path, settings: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    if path.is_file() and any(folder.glob(f"*/{LAST}")):
        check_same(folder, json.loads(path.read_text(encoding="utf-8")), settings, MAY_CHANGE)
    write_text(path, json.dumps(settings, indent=2) + "\n")


@torch.inference_mode()
def _predicted(
    encoders: Encoders, network: Network, labelled: Dataset, split: Split, reading: Reading, options: SegmentOptions
) -> Tensor:
    """Probabilities `(tested, C)`."""
    tested = [labelled.recordings[place] for place in split.test.tolist()]
    found = []
    for tower in network.towers:
        files = sources(tested, labelled, tower, reading.seconds, resolved(options.hop))
        title = f"testing {split.name}"
        embedder, workers = getattr(encoders, tower), options.workers
        run = embed(embedder, files, reading, precision=options.precision, workers=workers, title=title)
        rows = [each for _, each in run]
        found.append(by_segment(files, rows, tested, tower, reading.seconds, resolved(options.hop)))
    return torch.stack([network.head(torch.cat(parts, -1)).softmax(-1).mean(0) for parts in zip(*found, strict=True)])


def _save(encoders: Encoders, network: Network, folder: Path) -> None:
    encoders.save(folder / "encoders")
    with replacing(folder / "classifier.safetensors") as part:
        save_file(network.head.state_dict(), part)
