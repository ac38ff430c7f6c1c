"""Chance and ideal observers of tasks on crops: retrieval of the matching audio, and detection of swapped channels."""

# B clips, K crops of a clip

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from avssl.data.crops import Crops
from avssl.evaluation.forced_choice import accuracy_among_all
from avssl.evaluation.ideal_observer import KINDS, OBSERVERS, WHOLE, ViewTruth, pair_scores, view_truth
from avssl.evaluation.localization_scores import CHANCE
from avssl.evaluation.scene_truth import SceneObjects

AMONG_CLIPS, AMONG_CROPS = "avc_acc", "avsa_acc"
"""Accuracies of audio retrieved by a crop: rows of their matrices are crops, columns audio."""
FRONT, LENS = "crop_to_front", "crop_lens"
"""Views by which ground truth is placed in crops."""


def crop_views(crops: Crops) -> dict[str, Tensor]:
    """Placement of crops: `crop_to_front` `(K, 3, 3)`, and `crop_lens` `(K, 2)`, half fields of view in radians."""
    return {FRONT: crops.to_front(), LENS: half_fields(crops)}


def half_fields(crops: Crops) -> Tensor:
    """Half fields of view `(K, 2)` of crops, horizontal and vertical, radians."""
    horizontal = (crops.fields / 2).tan()
    return torch.stack([horizontal, horizontal * crops.aspects], 1).atan()


def whole_view(mirrored: bool = False) -> dict[str, Tensor]:
    """Placement of a single view that shows everything, in the clip's own axes or mirrored left to right."""
    return {FRONT: torch.diag(torch.tensor([1.0, -1.0 if mirrored else 1.0, 1.0]))[None], LENS: torch.tensor([WHOLE])}


def truth_in_crops(batch: dict[str, Tensor], scenes: Sequence[SceneObjects]) -> ViewTruth:
    """Ground truth of a batch in the axes of its crops, with leading axes `(B, K)`."""
    return view_truth(scenes, batch[FRONT].double().numpy(), batch[LENS].double().numpy())


def crop_references(
    batch: dict[str, Tensor], scenes: Sequence[SceneObjects] | None, accuracies: Sequence[str], rotated: bool
) -> dict[str, float]:
    """References of `avc_acc` and `avsa_acc`: audio retrieved by a crop, among clips and among the crops of a clip.

    Args:
        batch: views, with those of `crop_views`.
        scenes: ground truth; None: chance only.
        accuracies: names of those that the task has.
        rotated: whether the audio is rotated to its crop; if not, directions tell nothing.
    """
    clips, views = batch[LENS].shape[:2]
    found = {each + CHANCE: {AMONG_CLIPS: 1 / clips, AMONG_CROPS: 1 / views}[each] for each in accuracies}
    if scenes is None:
        return found
    truth = truth_in_crops(batch, scenes)
    pairs = {
        AMONG_CLIPS: ((truth[None, :, view], truth[:, None, view]) for view in range(views)),
        AMONG_CROPS: ((truth[clip, None, :], truth[clip, :, None]) for clip in range(clips)),
    }
    for name in accuracies:
        scores = [pair_scores(audio, video) for audio, video in pairs[name]]
        for observer in OBSERVERS if rotated else (KINDS,):
            found[name + observer] = float(np.mean([accuracy_among_all(each[observer]) for each in scores]))
    return found


def bag_references(
    batch: dict[str, Tensor], scenes: Sequence[SceneObjects] | None, name: str, rotated: bool
) -> dict[str, float]:
    """References of an accuracy of audio retrieved among clips by all views of a clip together.

    Args:
        batch: placement of the views, as of `crop_views` or `whole_view`.
        scenes: ground truth; None: chance only.
        name: of the accuracy.
        rotated: whether the audio is known in the axes of each view; if not, directions tell nothing.
    """
    found = {name + CHANCE: 1 / len(batch[LENS])}
    if scenes is None:
        return found
    truth = truth_in_crops(batch, scenes)
    scores = pair_scores(truth[None], truth[:, None])
    return found | {
        name + each: accuracy_among_all(scores[each].sum(-1)) for each in (OBSERVERS if rotated else (KINDS,))
    }


def swap_references(
    batch: dict[str, Tensor], scenes: Sequence[SceneObjects] | None, informative: bool
) -> dict[str, float]:
    """References of `swap_acc`: whether left and right of the audio are swapped.

    Args:
        batch: views, with those of `crop_views` or `whole_view`.
        scenes: ground truth; None: chance only.
        informative: whether frames and audio of the task differ at all in whether they fit; not so in its controls.
    """
    if scenes is None or not informative:
        return {"swap_acc" + CHANCE: 0.5}
    truth = truth_in_crops(batch, scenes)
    original, swapped = pair_scores(truth, truth), pair_scores(truth.mirrored(), truth)
    return {"swap_acc" + CHANCE: 0.5} | {
        "swap_acc" + name: float(np.mean((original[name] > swapped[name]) + 0.5 * (original[name] == swapped[name])))
        for name in OBSERVERS
    }
