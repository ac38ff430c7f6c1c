"""Measures of a trained task on held-out clips."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from avssl.config import DataConfig, RunConfig, TrainConfig
from avssl.datasets.manifest import Row, read_manifest, write_manifest
from avssl.media import write_audio, write_video
from avssl.models.encoder_factory import build_encoders
from avssl.models.runtime import single_process
from avssl.task import Task
from avssl.train.evaluate import PASSES, evaluate_task

CONFIG = RunConfig(
    data=DataConfig(seconds=0.25, frames=1, batch=2, workers=0), train=TrainConfig(steps=1, precision="32-true")
)


class Louder(Task):
    """Guesses a clip's number from its level; a layer with dropout tells whether it is in evaluation mode."""

    def __init__(self, encoders, options=None):
        super().__init__(encoders, options)
        self.dropout = nn.Dropout(0.5)

    def reject_reason(self, row):
        return "its key is odd" if int(row.key) % 2 else ""

    def views(self, clip, rng):
        return {"level": clip.audio.abs().amax(), "number": torch.tensor(float(clip.key)), "draw": torch.rand(1)}

    def forward(self, batch):
        level = self.dropout(batch["level"])
        return {"loss": (level - batch["number"] / 10).abs().mean(), "count": torch.tensor(float(len(level)))}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Five clips; number i has the constant level i / 10."""
    root = tmp_path_factory.mktemp("clips")
    write_video(root / "v.mp4", [np.zeros((32, 64, 3), np.uint8)] * 8, 16.0)
    rows = []
    for number in range(5):
        write_audio(root / f"{number}.wav", torch.full((4, 24000), number / 10), 24000)
        row = Row(
            key=str(number), split="test", video="v.mp4", audio=f"{number}.wav", start=0.0, seconds=0.5,
            frame_rate=16.0, width=64, height=32, sample_rate=24000, layout="ambix", silent_channels="",
            azimuth=0.0, elevation=0.0, diffuseness=0.0, source="",
        )  # fmt: skip
        rows.append(row)
    write_manifest(root / "manifest.parquet", rows)
    return read_manifest(root)


@pytest.fixture(scope="module")
def task():
    return Louder(build_encoders(CONFIG.model, CONFIG.features))


def test_held_out_scalars_are_means_in_evaluation_mode(clips, task):
    task.train()
    found = evaluate_task(task, CONFIG, clips, single_process("32-true"))
    assert found["test_loss"] == pytest.approx(0, abs=1e-4)  # dropout would make it 0.2
    assert found["test_count"] == 2
    assert task.training
    assert task.dropout.training


def test_every_held_out_clip_is_drawn_alike_often(clips, task):
    seen = []

    def views(clip, rng):
        seen.append(clip.key)
        return {"level": torch.zeros(()), "number": torch.zeros(())}

    task.views = views
    try:
        evaluate_task(task, replace(CONFIG, data=replace(CONFIG.data, batch=64)), clips, single_process("32-true"))
    finally:
        del task.views
    assert sorted(seen) == sorted(PASSES * ["0", "1", "2", "3", "4"])
