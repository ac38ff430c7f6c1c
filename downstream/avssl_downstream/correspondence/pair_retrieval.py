"""Cross-modal retrieval with frozen encoders: one linear projection a modality, trained by InfoNCE."""

# N pairs, K crops, V and A embedding widths, D projection

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.config import TrainConfig
from avssl.evaluation.retrieval import AUDIO_TO_VIDEO, VIDEO_TO_AUDIO, retrieval_metrics
from avssl.losses import info_nce
from avssl.train.loop import fit
from avssl_downstream.correspondence.options import CorrespondenceOptions
from avssl_downstream.correspondence.pair_embeddings import PairEmbeddings

MOST_WINDOWS = 1000
"""Pairs that retrieval chooses from, spread evenly over the split: chance then is that of other data sets."""


class Projections(nn.Module):
    """Linear projections of the standardised embeddings of both modalities to a common space.

    Args:
        pairs: of training; their mean and standard deviation are used for standardisation.
        width: D.
        temperature: of InfoNCE.
    """

    def __init__(self, pairs: PairEmbeddings, width: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        for name, each in (("video", pairs.video), ("audio", pairs.aligned)):
            flat = each.flatten(0, 1).float()
            self.register_buffer(f"{name}_mean", flat.mean(0))
            self.register_buffer(f"{name}_scale", 1 / (flat.std(0) + 1e-6))
        self.video, self.audio = (nn.Linear(each.shape[-1], width) for each in (pairs.video, pairs.aligned))

    def project(self, modality: str, embeddings: Tensor) -> Tensor:
        """Unit vectors `(N, K, D)` from `(N, K, V)` of `video` or `(N, K, A)` of `audio`."""
        mean, scale = self.get_buffer(f"{modality}_mean"), self.get_buffer(f"{modality}_scale")
        return functional.normalize(self.get_submodule(modality)((embeddings.float() - mean) * scale), dim=-1)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss` of pairs of different clips, averaged over crops."""
        video, audio = self.project("video", batch["video"]), self.project("audio", batch["audio"])
        crops = zip(video.unbind(1), audio.unbind(1), strict=True)
        return {"loss": torch.stack([info_nce(a, b, self.temperature) for a, b in crops]).mean()}


@dataclass(frozen=True)
class ClipBatches:
    """Batches of one random pair a clip, so that no negative is of the same clip."""

    pairs: PairEmbeddings
    batch: int
    seed: int
    workers: ClassVar[int] = 0

    def between(self, start: int, stop: int) -> Iterator[dict[str, Tensor]]:
        """The batches of steps `start` to `stop - 1`."""
        for step in range(start, stop):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            order = torch.randperm(len(self.pairs.clip), generator=generator)
            _, first = np.unique(self.pairs.clip[order].numpy(), return_index=True)
            shuffled = torch.from_numpy(np.sort(first))  # by position in the random order, not by clip
            chosen = order[shuffled[: self.batch]]
            yield {"video": self.pairs.video[chosen], "audio": self.pairs.aligned[chosen]}

    def steps(self, epochs: int) -> int:
        """Number of batches with as many pairs as `epochs`."""
        clips = len(torch.unique(self.pairs.clip))
        return epochs * max(1, len(self.pairs.clip) // min(self.batch, clips))


def train_projections(pairs: PairEmbeddings, options: CorrespondenceOptions, title: str) -> Projections:
    """Projections fitted to the pairs of the training clips."""
    torch.manual_seed(options.seed)
    projections = Projections(pairs, options.projection, options.temperature)
    batches = ClipBatches(pairs, options.retrieval_batch, options.seed)
    steps = batches.steps(options.epochs)
    config = TrainConfig(steps, options.seed, "32-true", log_every=steps, save_every=steps, show_every=steps)
    fit(projections, batches, config, options.retrieval, None, title=title)
    return projections.cpu().eval()


@torch.inference_mode()
def evaluate_retrieval(projections: Projections, pairs: PairEmbeddings) -> dict[str, float]:
    """Retrieval among pairs; those of the same clip are relevant; similarity: mean over crops.

    Returns:
        `audio_to_video_NAME` and `video_to_audio_NAME` of `avssl.evaluation.retrieval.retrieval_metrics`.
    """
    embeddings = {"video": pairs.video, "audio": pairs.aligned}
    video, audio = (projections.project(name, each).flatten(1) for name, each in embeddings.items())
    directions = {AUDIO_TO_VIDEO: (audio, video), VIDEO_TO_AUDIO: (video, audio)}
    return {
        f"{direction}_{name}": value
        for direction, (query, reference) in directions.items()
        for name, value in retrieval_metrics(query, pairs.clip, reference, pairs.clip).items()
    }
