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
from avssl.models.encoder_factory import build_encoders
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
