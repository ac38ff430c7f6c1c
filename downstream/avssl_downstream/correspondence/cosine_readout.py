"""AVC-Bin and AVSA-Bin without a trained probe: a threshold on the cosine of what pretraining compared."""

# N pairs, K crops, V and A embedding widths, D projection

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from avssl.embedding.trained_task import load_own_weights, task_of_run
from avssl.errors import InputError
from avssl.evaluation.projecting_task import ProjectingTask
from avssl.evaluation.threshold import best_threshold
from avssl.models.encoders import Encoders
from avssl.runs.reader import read_config
from avssl_downstream.correspondence.pair_embeddings import PairEmbeddings
from avssl_downstream.correspondence.pair_probe import evaluation_audio


def load_projections(folder: Path, encoders: Encoders) -> ProjectingTask:
    """Load the task that a run trained around its encoders, in evaluation mode.

    Args:
        folder: run folder.
        encoders: of the same run.

    Raises:
        InputError: no run folder, a task that does not project, or weights that do not fit the encoders.
    """
    task = task_of_run(folder, encoders)
    if not isinstance(task, ProjectingTask):
        raise InputError(f"{folder}: expected a task with projections, such as avc, got {read_config(folder)['task']}")
    load_own_weights(task, folder)
    task.eval()
    return task


def evaluate_cosine(
    task: ProjectingTask, training: PairEmbeddings, test: PairEmbeddings, pairing: str, seed: int
) -> Tensor:
    """Decide by the mean cosine over crops, with the best threshold on the training pairs.

    Args:
        task: with the projections.
        training: pairs that the threshold is chosen on.
        test: pairs to decide, with the mismatched audio of `evaluate_pairs`.
        pairing: `avc` or `avsa`.
        seed: of the mismatched audio.

    Returns:
        `(2 N,)` bool, whether the decision is correct: matching pairs, then mismatched ones.
    """
    threshold = best_threshold(*_scores(task, training, pairing, seed))
    matching, mismatched = _scores(task, test, pairing, seed)
    return torch.from_numpy(np.concatenate([matching >= threshold, mismatched < threshold]))


@torch.inference_mode()
def _scores(
    task: ProjectingTask, pairs: PairEmbeddings, pairing: str, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean cosines `(N,)` of matching and of mismatched pairs."""
    found = []
    for audio in (pairs.aligned, evaluation_audio(pairs, pairing, seed)):
        projected = task.project(pairs.video.float(), audio.float(), pairs.rotation)
        found.append(functional.cosine_similarity(*projected, dim=-1).mean(1).double().numpy())
    return found[0], found[1]
