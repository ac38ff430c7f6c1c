"""Measures of a trained task on held-out clips."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from avssl.config import DataConfig, RunConfig, TrainConfig
from avssl.datasets.manifest import Row, read_manifest, write_manifest
from avssl.media import write_audio, write_video
from avssl.models.encoder_factory import build_encoders
from avssl.models.runtime import single_process
from avssl.runs import run_folder
from avssl.task import Task
from avssl.train import evaluate
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


class Informed(Louder):
    """States what stands beside its scalars, from the truth of the clips of the batch."""

    def __init__(self, encoders):
        super().__init__(encoders)
        self.scenes = []

    def reference_scores(self, batch, scenes):
        self.scenes.append(scenes)
        assert set(batch) == {"level", "number", "draw"}
        ideal = {} if scenes is None else {"count_ideal_both": sum(int(each.kind[0]) for each in scenes)}
        return {"count_chance": 1.0, "other_chance": 0.5, **ideal}


def truth(numbers, times=(0.0, 0.125)):
    """Ground truth in which the kind of clip i at the second time is i + 10, at the first i."""
    rows = [(str(i), time, f"{i + 10 * place:02d}") for i in numbers for place, time in enumerate(times)]
    same = {"sounding": True, "azimuth": 0.0, "elevation": 0.0, "angular_radius": 5.0, "visible": 1.0}
    keys, seconds, kinds = zip(*rows, strict=True)
    columns = {"key": keys, "time": seconds, "kind": kinds}
    return pa.table(
        {name: list(each) for name, each in columns.items()} | {n: [v] * len(rows) for n, v in same.items()}
    )


@pytest.fixture
def with_truth(clips):
    path = clips.root / "truth.parquet"
    pq.write_table(truth(range(5)), path)
    yield path
    path.unlink()


def test_references_are_of_the_very_draws_of_the_scalars(clips, with_truth):
    task = Informed(build_encoders(CONFIG.model, CONFIG.features))
    found = evaluate_task(task, CONFIG, clips, single_process("32-true"))
    kinds = sorted({f"{i + 10 * place:02d}" for i in range(5) for place in range(2)})
    read = [kinds[int(each.kind[0])] for scenes in task.scenes for each in scenes]
    assert len(read) == PASSES * len(clips)
    assert {int(kind) % 10 for kind in read} == set(range(5))
    assert {int(kind) // 10 for kind in read} == {0, 1}  # windows lie at random times
    assert found["test_count_ideal_both"] == pytest.approx(sum(kinds.index(kind) for kind in read) / len(task.scenes))
    assert found["test_count_chance"] == 1.0
    assert "test_other_chance" not in found  # the task has no such scalar


@pytest.mark.parametrize("foreign", [False, True])
def test_without_ground_truth_of_its_kind_a_task_states_chance_only(clips, foreign, caplog):
    path = clips.root / "truth.parquet"
    if foreign:
        pq.write_table(truth(range(5)).select(["key", "time", "azimuth"]), path)
    task = Informed(build_encoders(CONFIG.model, CONFIG.features))
    with caplog.at_level("INFO"):
        found = evaluate_task(task, CONFIG, clips, single_process("32-true"))
    path.unlink(missing_ok=True)
    assert set(found) == {"test_loss", "test_count", "test_count_chance"}
    assert set(task.scenes) == {None}
    assert ("no ideal observers, ground truth without kind, sounding" in caplog.text) == foreign


def test_a_task_without_references_has_its_scalars_only(clips, task, with_truth):
    assert set(evaluate_task(task, CONFIG, clips, single_process("32-true"))) == {"test_loss", "test_count"}


def test_metrics_count_for_the_dataset_that_they_are_from(tmp_path):
    training, validation = DataConfig(), DataConfig(validation_seed=7)
    run_folder.add_metrics(tmp_path, {"steps": 5, "tested_steps": 5})
    assert evaluate.is_held_out_evaluated(tmp_path, training)  # a folder from before there were validation seeds
    assert not evaluate.is_held_out_evaluated(tmp_path, validation)
    run_folder.add_metrics(tmp_path, {"tested_seed": 7})
    assert evaluate.is_held_out_evaluated(tmp_path, validation)
    assert not evaluate.is_held_out_evaluated(tmp_path, training)
    assert not evaluate.is_held_out_evaluated(tmp_path, replace(validation, validation_seed=8))
    assert evaluate.is_held_out_evaluated(tmp_path, DataConfig(manifest="data"))
    assert evaluate.evaluation_seed(DataConfig(manifest="data")) is None
    assert [evaluate.evaluation_seed(each) for each in (training, validation)] == [0, 7]


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
