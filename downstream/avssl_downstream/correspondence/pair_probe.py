"""Probe of pairs: a small network on frozen embeddings that classifies audio and frames as matching or not."""

# N pairs, K crops, V and A embedding widths

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.config import TrainConfig
from avssl.train.loop import fit
from avssl_downstream.correspondence.options import CorrespondenceOptions
from avssl_downstream.correspondence.pair_embeddings import PairEmbeddings

PAIRINGS = ("avc", "avsa")


class PairProbe(nn.Module):
    """One hidden layer on both embeddings, standardised and concatenated; logits are averaged over crops.

    Args:
        pairs: of training; their mean and standard deviation are used for standardisation.
        hidden: units of the hidden layer.
        dropout: probability, on the hidden layer.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, pairs: PairEmbeddings, hidden: int, dropout: float) -> None:
        super().__init__()
        embeddings = torch.cat([pairs.video, pairs.aligned], -1).flatten(0, 1).float()
        self.register_buffer("mean", embeddings.mean(0))
        self.register_buffer("scale", 1 / (embeddings.std(0) + 1e-6))
        self.layers = nn.Sequential(
            nn.Linear(embeddings.shape[1], hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 2)
        )

    def logits(self, video: Tensor, audio: Tensor) -> Tensor:
        """Logits `(N, 2)` of matching and mismatched, from `(N, K, V)` and `(N, K, A)`."""
        joined = (torch.cat([video, audio], -1).float() - self.mean) * self.scale
        logits: Tensor = self.layers(joined)
        return logits.float().mean(1)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss` and `accuracy` of pairs; `label` is 0 if they match, else 1."""
        logits = self.logits(batch["video"], batch["audio"])
        correct = (logits.argmax(-1) == batch["label"]).float().mean()
        return {"loss": functional.cross_entropy(logits, batch["label"]), "accuracy": correct}


@dataclass(frozen=True)
class PairBatches:
    """Batches of pairs, half of them mismatched: audio of another clip (avc), or the rotated own audio (avsa)."""

    pairs: PairEmbeddings
    pairing: str
    batch: int
    seed: int
    workers: ClassVar[int] = 0

    def between(self, start: int, stop: int) -> Iterator[dict[str, Tensor]]:
        """The batches of steps `start` to `stop - 1`; an epoch has each pair once."""
        for step in range(start, stop):
            chosen = self._chosen(step)
            generator = torch.Generator().manual_seed(2 * (self.seed * 1_000_003 + step) + 1)
            label = torch.randint(2, (len(chosen),), generator=generator)
            mismatched = mismatched_audio(self.pairs, self.pairing, chosen, generator)
            audio = torch.where(label[:, None, None] == 1, mismatched, self.pairs.aligned[chosen])
            yield {"video": self.pairs.video[chosen], "audio": audio, "label": label}

    def steps(self, epochs: int) -> int:
        """Number of batches in `epochs`."""
        return epochs * self._steps_an_epoch()

    def _steps_an_epoch(self) -> int:
        return max(1, len(self.pairs.clip) // self.batch)

    def _chosen(self, step: int) -> Tensor:
        epoch, within = divmod(step, self._steps_an_epoch())
        generator = torch.Generator().manual_seed(2 * (self.seed * 1_000_003 + epoch))
        order = torch.randperm(len(self.pairs.clip), generator=generator)
        return order[within * self.batch : (within + 1) * self.batch]


def mismatched_audio(pairs: PairEmbeddings, pairing: str, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Embeddings `(len(chosen), K, A)` of audio that does not match the chosen pairs.

    Args:
        pairs: of at least two clips.
        pairing: `avc`, audio of a random pair of another clip; `avsa`, the own audio, rotated.
        chosen: indices of pairs.
        generator: the only source of randomness.
    """
    if pairing == "avsa":
        return pairs.rotated[chosen]
    return pairs.aligned[other_clips(pairs.clip, chosen, generator)]


def other_clips(clip: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """For each chosen pair the index of a random pair of another clip.

    Args:
        clip: `(N,)` clip of each pair, of at least two clips.
        chosen: indices of pairs.
        generator: the only source of randomness.
    """
    other = torch.randint(len(clip), chosen.shape, generator=generator)
    while bool((same := clip[other] == clip[chosen]).any()):
        other = torch.where(same, torch.randint(len(clip), chosen.shape, generator=generator), other)
    return other


def train_probe(pairs: PairEmbeddings, pairing: str, options: CorrespondenceOptions, title: str) -> PairProbe:
    """Probe fitted to the pairs of the training clips."""
    torch.manual_seed(options.seed)
    probe = PairProbe(pairs, options.hidden, options.dropout)
    # As many embeddings a step with all crops in a pair as with one: the single-crop probe has crops times the pairs.
    batches = PairBatches(pairs, pairing, options.batch * options.crops // pairs.video.shape[1], options.seed)
    steps = batches.steps(options.epochs)
    config = TrainConfig(steps, options.seed, "32-true", log_every=steps, save_every=steps, show_every=steps)
    optim = {"avc": options.avc, "avsa": options.avsa}[pairing]
    fit(probe, batches, config, optim, None, title=title)
    return probe.cpu().eval()


@torch.inference_mode()
def evaluate_pairs(probe: PairProbe, pairs: PairEmbeddings, pairing: str, seed: int) -> tuple[Tensor, Tensor]:
    """Whether the probe is correct, `(N,)` bool each: for matching pairs, and for mismatched ones."""
    mismatched = evaluation_audio(pairs, pairing, seed)
    aligned_correct = probe.logits(pairs.video, pairs.aligned).argmax(-1) == 0
    return aligned_correct, probe.logits(pairs.video, mismatched).argmax(-1) == 1


def evaluation_audio(pairs: PairEmbeddings, pairing: str, seed: int) -> Tensor:
    """Embeddings `(N, K, A)` of the mismatched audio that all pairs are evaluated with."""
    return mismatched_audio(pairs, pairing, torch.arange(len(pairs.clip)), torch.Generator().manual_seed(seed))
