"""Tasks run on the device of their weights: tested on `meta`, which raises for tensors of other devices."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from avssl.config import FeatureConfig, ModelConfig, fill
from avssl.models.encoder_factory import build_encoders
from avssl.plugins import TASKS, load
from avssl.testing import make_clips

META = torch.device("meta")


@pytest.mark.parametrize(
    ("name", "features", "options"),
    [
        ("avc", "foa-iv", {}),
        ("avsa", "foa-iv", {}),
        ("avc", "foa-iv", {"loss": "sigmoid"}),
        ("avsa", "foa-logmel", {"transformer": 2}),
        ("avsa", "foa-iv", {"transformer": 1, "relative_directions": 2, "yaw_negatives": 2, "loss": "sigmoid"}),
        ("dense_avc", "mono-logmel", {}),
        ("dense_avc", "foa-iv", {"directions": 6, "position": 2}),
        ("swap", "stereo-phase", {}),
        ("swap", "stereo-phase", {"both_orders": True}),
    ],
)
def test_tasks_follow_the_device_of_their_weights(name, features, options, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no meta device
    kind = load(TASKS, name)
    task = kind(build_encoders(ModelConfig(), FeatureConfig(name=features)), fill(kind.Options, options))
    batch = default_collate([task.views(clip, np.random.default_rng(0)) for clip in make_clips(4)])
    found = task.to(META)({key: each.to(META) for key, each in batch.items()})
    assert {each.device for each in found.values()} == {META}
