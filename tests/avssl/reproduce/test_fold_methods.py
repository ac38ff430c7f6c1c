"""Encoders of the rows on real clips: pretrained ones are those of the run, untrained ones are not."""

from dataclasses import replace

import pytest
import torch

from avssl.config import FeatureConfig, ModelConfig, RunConfig
from avssl.datasets.manifest import read_manifest
from avssl.reproduce.fold_methods import EncoderRow
from avssl.runs import run_folder
from avssl.train.pretrain import build_task, save_task
from avssl.train.resolved_run import resolve_run

CONFIG = RunConfig(
    task="avsa", features=FeatureConfig("foa-iv", n_fft=256, hop=240, mels=16), model=ModelConfig("small")
)


@pytest.mark.parametrize("pretrained", [True, False])
def test_a_row_starts_from_the_weights_of_its_run_or_from_random_ones(tmp_path, filmed_noise, pretrained):
    trained = build_task(resolve_run(replace(CONFIG, train=replace(CONFIG.train, seed=5))))
    trained.encoders.save(tmp_path / run_folder.ENCODERS)
    save_task(trained, tmp_path)
    row = EncoderRow("row", "row", (tmp_path,), CONFIG, pretrained, None, 1)
    started = row.start(resolve_run(CONFIG), read_manifest(filmed_noise), 0)
    weights, expected = started.state_dict(), trained.state_dict()
    random = [name for name in weights if name.endswith(("stages.0.weight", "head.weight"))]
    assert len(random) == 4
    for name in random:
        assert torch.equal(weights[name], expected[name]) is pretrained
    if pretrained:
        assert all(torch.equal(weights[name], expected[name]) for name in weights)
