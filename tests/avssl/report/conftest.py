from dataclasses import replace

import pytest

from avssl.config import RunConfig, TrainConfig
from avssl.runs import run_folder


@pytest.fixture
def make_run(tmp_path):
    """Leaves a run folder as a finished run of `avssl pretrain` does."""

    def make(name, seed=0, metrics=None, steps=100, **changes):
        config = replace(RunConfig(**changes), train=TrainConfig(steps=steps, seed=seed))
        folder = tmp_path / "runs" / name
        run_folder.init_run_folder(folder, config)
        run_folder.add_metrics(folder, {"steps": steps, **(metrics or {})})
        return folder

    return make


@pytest.fixture
def scored(make_run):
    """Run folders of one row: an AVSA-Bin a seed, seeds from 0."""

    def make(title, scores, seeds=None, **changes):
        return [
            make_run(f"{title}-{seed}", seed, interval("avsa_bin", score), title=title, **changes)
            for seed, score in zip(seeds or range(len(scores)), scores, strict=True)
        ]

    return make


def interval(name, score):
    return {name: score, f"{name}_low": score - 0.02, f"{name}_high": min(score + 0.02, 1.0)}
