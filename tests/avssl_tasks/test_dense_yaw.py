"""Yaw similarities of dense_avc: one pass over the panorama gives those of the task for each rotated sound field."""

from __future__ import annotations

import pytest
import torch

from avssl.config import RunConfig
from avssl.data.clip_options import CropOptions
from avssl.evaluation.true_yaw import yaw_rotations
from avssl.evaluation.yaw_scorers import DenseYawScorer, yaw_scorer
from avssl.recipe_files import resolve
from avssl.spatial.ambisonics import rotate
from avssl.train.pretrain import build_task
from avssl.train.resolved_run import resolve_run


@pytest.mark.parametrize("directions", [0, 6])
def test_similarities_by_yaw_are_those_of_rotated_sound_fields(directions: int) -> None:
    small = {"directions": directions, "height": 32, "padding": 8, "size": 32, "crops": 1}
    task = build_task(
        resolve_run(resolve(RunConfig, "dense_avc/small", {"features": {"name": "foa-iv"}, "options": small}))
    )
    generator = torch.Generator().manual_seed(0)
    task.encoders.fit_features([torch.randn(4, 6000, generator=generator) for _ in range(3)])
    frames = torch.randint(256, (2, 1, 3, 32, 64), generator=generator, dtype=torch.uint8)
    batch = {"frames": frames, "audio": 0.1 * torch.randn(2, 4, 6000, generator=generator),
             "rotation": torch.eye(3).expand(2, 3, 3)}  # fmt: skip
    scorer = yaw_scorer(task.eval(), CropOptions())
    assert isinstance(scorer, DenseYawScorer)
    with torch.inference_mode():
        found = scorer.similarity(batch)
        for yaw, turn in enumerate(yaw_rotations()):
            expected, _ = task.compare(batch | {"audio": rotate(batch["audio"], turn)})  # type: ignore[operator]
            assert torch.allclose(found[:, yaw], expected.diagonal(), atol=1e-5)
    assert found.std() > 1e-4
