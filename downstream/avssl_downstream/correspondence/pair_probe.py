"""The probe: does the sound belong to the picture? A small network on frozen embeddings."""

# N draws, K crops, V and A embedding widths

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.config import TrainConfig
from avssl.train.loop import fit
from avssl_downstream.correspondence.options import CorrespondenceOptions
from avssl_downstream.correspondence.pair_sampling import PairSampler

PAIRINGS = ("avc", "avsa")


class Probe(nn.Module):
    """Both embeddings, standardised and joined, through one hidden layer; logits are averaged over the crops.

    Args:
        draws: of training; their mean and deviation standardise.
        hidden: units of the hidden layer.
        dropout: share of them dropped in training.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, draws: PairSampler, hidden: int, dropout: float) -> None:
        super().__init__()
        seen = torch.cat([draws.video, draws.aligned], -1).flatten(0, 1).float()
        self.register_buffer("mean", seen.mean(0))
        self.register_buffer("scale", 1 / (seen.std(0) + 1e-6))
        self.layers = nn.Sequential(
            nn.Linear(seen.shape[1], hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 2)
        )

    def logits(self, video: Tensor, audio: Tensor) -> Tensor:
        """`(N, 2)`, belonging and not, from `(N, K, V)` and `(N, K, A)`."""
        joined = (torch.cat([video, audio], -1).float() - self.mean) * self.scale
        logits: Tensor = self.layers(joined)
        return logits.float().mean(1)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss` and `accuracy` of pairs whose `label` is 0 if they belong together, else 1."""
        logits = self.logits(batch["video"], batch["audio"])
        right = (logits.argmax(-1) == batch["label"]).float().mean()
        return {"loss": functional.cross_entropy(logits, batch["label"]), "accuracy": right}


@dataclass(frozen=True)
class Pairs:
    """Batches of pairs, half of them wrong: avc takes the sound of another clip, avsa the clip's own, turned away."""

    draws: PairSampler
    pairing: str
    batch: int
    seed: int

    def between(self, start: int, stop: int) -> Iterator[dict[str, Tensor]]:
        """The batches of steps `start` to `stop - 1`; an epoch shows each draw once."""
        for step in range(start, stop):
            chosen = self._chosen(step)
            generator = torch.Generator().manual_seed(2 * (self.seed * 1_000_003 + step) + 1)
            label = torch.randint(2, (len(chosen),), generator=generator)
            wrong = wrong_audio(self.draws, self.pairing, chosen, generator)
            audio = torch.where(label[:, None, None] == 1, wrong, self.draws.aligned[chosen])
            yield {"video": self.draws.video[chosen], "audio": audio, "label": label}

    def steps(self, epochs: int) -> int:
        """Steps of so many epochs."""
        return epochs * self._steps_an_epoch()

    def _steps_an_epoch(self) -> int:
        return max(1, len(self.draws.clip) // self.batch)

    def _chosen(self, step: int) -> Tensor:
        epoch, within = divmod(step, self._steps_an_epoch())
        generator = torch.Generator().manual_seed(2 * (self.seed * 1_000_003 + epoch))
        order = torch.randperm(len(self.draws.clip), generator=generator)
        return order[within * self.batch : (within + 1) * self.batch]


def wrong_audio(draws: PairSampler, pairing: str, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """`(len(chosen), K, A)` embeddings of sound that does not belong to the chosen draws.

    Args:
        draws: of at least two clips.
        pairing: `avc`, sound of a random draw of another clip; `avsa`, the own sound turned away.
        chosen: indices of draws.
        generator: the only source of chance.
    """
    if pairing == "avsa":
        return draws.rotated[chosen]
    other = torch.randint(len(draws.clip), chosen.shape, generator=generator)
    while bool((same := draws.clip[other] == draws.clip[chosen]).any()):
        other = torch.where(same, torch.randint(len(draws.clip), chosen.shape, generator=generator), other)
    return draws.aligned[other]


def train(draws: PairSampler, pairing: str, options: CorrespondenceOptions, title: str) -> Probe:
    """A probe fitted to the draws of the training clips."""
    torch.manual_seed(options.seed)
    probe = Probe(draws, options.hidden, options.dropout)
    # As many embeddings a step whether a draw holds all crops or one: the single-crop probe sees crops times the draws.
    pairs = Pairs(draws, pairing, options.batch * options.crops // draws.video.shape[1], options.seed)
    steps = pairs.steps(options.epochs)
    config = TrainConfig(steps, options.seed, "32-true", log_every=steps, save_every=steps, show_every=steps)
    optim = {"avc": options.avc, "avsa": options.avsa}[pairing]
    fit(probe, pairs, config, optim, None, title=title)
    return probe.cpu().eval()


@torch.inference_mode()
def evaluate_pairs(probe: Probe, draws: PairSampler, pairing: str, seed: int) -> tuple[Tensor, Tensor]:
    """Whether the probe is right about each draw, `(N,)` each: as it is, and paired wrongly."""
    chosen = torch.arange(len(draws.clip))
    wrong = wrong_audio(draws, pairing, chosen, torch.Generator().manual_seed(seed))
    kept = probe.logits(draws.video, draws.aligned).argmax(-1) == 0
    return kept, probe.logits(draws.video, wrong).argmax(-1) == 1
