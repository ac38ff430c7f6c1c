"""avc and avsa with losses and miners of pytorch-metric-learning, by option and on the command line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avssl_tasks.avc import Avc
from avssl_tasks.avsa import Avsa
from click.testing import CliRunner
from torch import Tensor
from torch.utils.data import default_collate

from avssl.cli import main
from avssl.config import FeatureConfig, ModelConfig, fill
from avssl.models.encoder_factory import build_encoders
from avssl.testing import check_task, make_clips


def make(kind: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    return kind(build_encoders(ModelConfig(), FeatureConfig()), fill(kind.Options, {"size": 32, **options}))


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    return default_collate([make(Avsa, crops=2).views(clip, rng) for clip in make_clips(6)])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Avc, {"crops": 2}),
        (Avsa, {"crops": 2}),
        (Avsa, {"crops": 2, "negatives": "hard"}),
        (Avsa, {"crops": 2, "transformer": 1}),
    ],
)
def test_supcon_is_the_tasks_own_loss(batch: dict[str, Tensor], kind: Any, options: dict[str, Any]) -> None:
    own, theirs = (make(kind, **options, **extra) for extra in ({}, {"loss": "pml/SupConLoss"}))
    losses = [task.eval()(batch) for task in (own, theirs)]
    assert losses[0].keys() == losses[1].keys()
    torch.testing.assert_close(losses[1]["loss"], losses[0]["loss"], atol=1e-5, rtol=1e-5)
    for task, found in zip((own, theirs), losses, strict=True):
        found["loss"].backward()
        assert all(each.grad is not None for each in task.parameters())
    for mine, other in zip(own.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(other.grad, mine.grad, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("crops", [1, 2])
def test_sigmoid_is_the_mean_over_crops_of_binary_classifications(batch: dict[str, Tensor], crops: int) -> None:
    task = make(Avc, crops=crops, loss="sigmoid", temperature=0.2, loss_options={"bias": -2}).eval()
    cut = {name: each if name == "audio" else each[:, :crops] for name, each in batch.items()}
    found = task(cut)
    video, audio = (each.unflatten(0, (6, crops)) for each in task.embeddings(cut).values())
    cosines = torch.einsum("ikd,jkd->kij", *(torch.nn.functional.normalize(each, dim=-1) for each in (video, audio)))
    wrong = cosines / 0.2 - 2
    loss = torch.nn.functional.binary_cross_entropy_with_logits(wrong, torch.eye(6).expand_as(wrong), reduction="sum")
    torch.testing.assert_close(found["loss"], loss / 6 / crops, atol=1e-5, rtol=1e-5)
    assert float(found["temperature"]) == pytest.approx(0.2)
    assert float(found["bias"]) == -2
    found["loss"].backward()
    assert all(each.grad is not None for each in task.parameters())


def test_temperature_is_the_tasks_unless_the_loss_has_its_own(batch: dict[str, Tensor]) -> None:
    options = {"crops": 2, "loss": "pml/SupConLoss", "temperature": 0.5}
    losses = [
        make(Avc, **options, **extra).eval()(batch)["loss"] for extra in ({}, {"loss_options": {"temperature": 0.07}})
    ]
    torch.testing.assert_close(losses[0], make(Avc, crops=2, temperature=0.5).eval()(batch)["loss"])
    torch.testing.assert_close(losses[1], make(Avc, crops=2, temperature=0.07).eval()(batch)["loss"])


@pytest.mark.parametrize("kind", [Avc, Avsa])
def test_a_miner_keeps_the_contract_and_logs_its_share(batch: dict[str, Tensor], kind: Any) -> None:
    options = {"loss": "pml/TripletMarginLoss", "loss_options": {"margin": 0.5}, "miner": "pml/BatchHardMiner"}
    task = make(kind, crops=2, **options)
    check_task(task, make_clips(4))
    negatives = {Avc: 5, Avsa: 6}[kind]  # of each row: other clips, and the other crop of its own
    assert 0 < task(batch)["mined"] <= 1 / negatives + 1e-6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["loss=pml/SupConLos"], "did you mean 'SupConLoss'?); use pml/AngularLoss"),
        (["loss=supcon"], "expected loss info-nce, sigmoid or pml/NAME, got 'supcon'"),
        (["loss=sigmod"], "did you mean 'sigmoid'?"),
        (["loss=sigmoid", "loss_options.b=1"], "expected loss_options of sigmoid with a number as bias, got {'b': 1}"),
        (["loss=sigmoid", "loss_options.bias=low"], "expected loss_options of sigmoid with a number as bias"),
        (["loss=sigmoid", "miner=pml/BatchHardMiner"], "with loss_options or a miner, got loss sigmoid"),
        (["loss=pml/ArcFaceLoss"], "pml/ArcFaceLoss: expected its parameters"),
        (["loss=pml/FastAPLoss"], "support two modalities"),
        (["miner=pml/BatchHardMiner"], "expected a loss pml/NAME with loss_options or a miner, got loss info-nce"),
        (["loss=pml/SupConLoss", "miner_options.x=1"], "expected a miner with miner_options"),
        (["loss=pml/SupConLoss", "miner=pml/Best"], "expected one of miners"),
    ],
)
def test_bad_losses_and_miners_are_one_line_before_anything_is_written(
    tmp_path: Path, settings: list[str], message: str
) -> None:
    arguments = [part for each in settings for part in ("--set", f"options.{each}")]
    out = tmp_path / "run"
    result = CliRunner().invoke(main, ["pretrain", "--task", "avc", "--out", str(out), *arguments])
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not out.exists()
