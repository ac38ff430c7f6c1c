"""Tasks on crops guided by objects: what they return, count and add to the loss."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from avssl_tasks.avc import Avc
from avssl_tasks.avsa import Avsa
from torch import Tensor
from torch.utils.data import default_collate

from avssl.config import FeatureConfig, ModelConfig, fill
from avssl.data.clip import Clip
from avssl.losses import alignment_loss, further_accuracy
from avssl.models.encoder_factory import build_encoders
from avssl.spatial.ambisonics import rotate
from avssl.testing import check_task, make_clips

GUIDED = {"crop_guide": "objects", "guided_offset": 0.7, "min_separation": 36.0}


def make(kind: Any, features: str = "foa-iv", **options: Any) -> Any:
    torch.manual_seed(0)
    encoders = build_encoders(ModelConfig(), FeatureConfig(name=features))
    return kind(encoders, fill(kind.Options, {"size": 32, "crops": 3, **GUIDED, **options}))


def clips(*counts: int) -> list[Clip]:
    """Clips with as many objects 60 degrees apart each."""
    degrees = torch.tensor([[0.0, 5, 0.9], [60, -10, 0.8], [120, 0, 0.7], [180, 10, 0.6], [-120, 0, 0.5]])
    objects = degrees * torch.tensor([torch.pi / 180, torch.pi / 180, 1])
    made = make_clips(len(counts))
    return [replace(clip, objects=objects[:count]) for clip, count in zip(made, counts, strict=True)]


def batch_of(task: Any, *counts: int) -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    return default_collate([task.views(clip, rng) for clip in clips(*counts)])


@pytest.mark.parametrize("kind", [Avc, Avsa])
def test_guided_crops_are_counted_and_clips_without_objects_have_random_ones(kind: Any) -> None:
    task = make(kind).eval()
    batch = batch_of(task, 5, 1, 0, 2)
    assert batch["guided"].tolist() == [[True] * 3, [True, False, False], [False] * 3, [True, True, False]]
    assert task(batch)["guided_crops"] == 0.5
    random = make(kind, crop_guide="random").eval()
    assert "guided" not in (views := batch_of(random, 5, 0))
    assert "guided_crops" not in random(views)


@pytest.mark.parametrize("kind", [Avc, Avsa])
def test_contract_with_guided_crops(kind: Any) -> None:
    check_task(make(kind), clips(5, 0))


@pytest.mark.parametrize("yaws", [0, 1])
def test_other_objects_are_candidates_of_the_video_query_alone(yaws: int) -> None:
    task = make(Avsa, object_negatives=2, yaw_negatives=yaws, negatives="hard", min_separation=50.0).eval()
    batch = batch_of(task, 5, 4, 0)
    assert batch["object_rotation"].shape == (3, 3, 2, 3, 3)
    video, audio = (each.unflatten(0, (3, 3)) for each in task.encode(batch))
    rotations = [batch[name] for name in ("yaw_rotation", "object_rotation") if name in batch]
    turned = rotate(batch["audio"][:, None, None], torch.cat(rotations, 2)).flatten(0, 2)
    further = task.audio_head(task.encoders.audio(turned).unflatten(0, (3, 3, 2 + yaws)))
    from_video, from_audio = task.video_head(video), task.audio_head(audio)
    expected = (
        alignment_loss(from_video, from_audio, 0.07, "hard", further)
        + alignment_loss(from_audio, from_video, 0.07, "hard")
    ) / 2
    found = task(batch)
    torch.testing.assert_close(found["loss"], expected, atol=1e-5, rtol=1e-5)
    assert found["object_acc"] == further_accuracy(from_video, from_audio, further[:, :, yaws:])
    assert ("yaw_acc" in found) == bool(yaws)
    # Five objects: two for each crop. Four: the same, one of which has a crop of its own. None: random directions.
    assert batch["of_object"].flatten(1).double().mean(1).tolist() == [1.0, 1.0, 0.0]
    assert float(found["object_negatives"]) == pytest.approx(2 / 3)


def test_object_negatives_change_no_crop() -> None:
    plain, task = make(Avsa), make(Avsa, object_negatives=1)
    one, other = (each.views(clips(5)[0], np.random.default_rng(2)) for each in (plain, task))
    assert all(torch.equal(one[name], other[name]) for name in one)
    check_task(task, clips(5, 1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"object_negatives": -1}, "expected object_negatives >= 0, got -1"),
        ({"object_negatives": 1, "crop_guide": "random"}, "expected crop_guide=objects with object_negatives"),
        ({"object_negatives": 1, "loss": "pml/SupConLoss"}, "expected loss info-nce or sigmoid with object_negatives"),
    ],
)
def test_object_negatives_that_fit_no_loss_or_crops_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(Avsa, **wrong)
    with pytest.raises(ValueError, match="expected object_negatives=0 with features mono-logmel, got 1"):
        make(Avsa, "mono-logmel", object_negatives=1)


def test_further_accuracies_stand_beside_their_chance() -> None:
    task = make(Avsa, object_negatives=3, yaw_negatives=1)
    found = task.reference_scores(batch_of(task, 5, 2), None)
    assert found["object_acc_chance"] == 1 / 4
    assert found["yaw_acc_chance"] == 1 / 2
    assert found["avsa_acc_chance"] == 1 / 3
