"""avsa with cross-modal transformers, and unchanged without them."""

from typing import Any

import numpy as np
import pytest
import torch
from avssl_tasks.avsa import Avsa
from torch import Tensor, nn
from torch.utils.data import default_collate

from avssl.config import FeatureConfig, ModelConfig, fill
from avssl.losses import alignment_loss
from avssl.models.encoder_factory import build_encoders
from avssl.testing import check_task, make_clips


def make(**options: Any) -> Avsa:
    torch.manual_seed(0)
    return Avsa(build_encoders(ModelConfig(), FeatureConfig()), fill(Avsa.Options, {"size": 32, **options}))


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    return default_collate([make(flip=0).views(clip, rng) for clip in make_clips(6)])


@pytest.mark.parametrize("negatives", ["easy+hard", "easy", "hard"])
@pytest.mark.parametrize("depth", [1, 2])
def test_contract_with_transformers_and_all_negatives(negatives: str, depth: int) -> None:
    check_task(make(transformer=depth, negatives=negatives), make_clips(2))


def test_without_transformers_two_heads_compare_the_embeddings_directly(
    batch: dict[str, Tensor],
) -> None:
    task = make().eval()
    names = {name.split(".")[0] for name, _ in task.named_parameters()}
    assert names == {"encoders", "video_head", "audio_head"}
    video, audio = (each.unflatten(0, (6, 4)) for each in task.embeddings(batch).values())
    expected = (alignment_loss(video, audio) + alignment_loss(audio, video)) / 2
    torch.testing.assert_close(task(batch)["loss"], expected)


def test_four_heads_and_the_published_names_with_transformers() -> None:
    names = {".".join(name.split(".")[:2]) for name, _ in make(transformer=2).named_parameters()}
    assert {"v2a_transformer.transformer", "a2v_transformer.transformer"} <= names
    assert {f"{name}_head.weight" for name in ("video", "audio", "video_pred", "audio_pred")} <= names


def test_identity_transformers_leave_the_loss_unchanged(batch: dict[str, Tensor]) -> None:
    plain, task = make().eval(), make(transformer=2).eval()
    plain.load_state_dict(task.state_dict(), strict=False)
    task.v2a_transformer, task.a2v_transformer = nn.Identity(), nn.Identity()
    task.audio_pred_head.load_state_dict(task.video_head.state_dict())
    task.video_pred_head.load_state_dict(task.audio_head.state_dict())
    found, expected = task(batch), plain(batch)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_each_prediction_is_compared_with_the_modality_that_it_predicts(batch: dict[str, Tensor]) -> None:
    task = make(transformer=2, negatives="hard").eval()
    nn.init.zeros_(task.video_pred_head.weight)
    nn.init.zeros_(task.video_pred_head.bias)
    # With equal predictions for all crops, one direction is at chance; the other is from the video's transformer.
    video, audio = (each.unflatten(0, (6, 4)) for each in task.encode(batch))
    predicted = task.audio_pred_head(task.v2a_transformer(video))
    expected = (alignment_loss(predicted, task.audio_head(audio), 0.07, "hard") + np.log(4)) / 2
    torch.testing.assert_close(task(batch)["loss"], expected)


def test_the_loss_is_invariant_to_the_order_of_crops(batch: dict[str, Tensor]) -> None:
    task = make(transformer=2).eval()
    order = torch.tensor([3, 1, 0, 2])
    shuffled = {**batch, "frames": batch["frames"][:, order], "rotation": batch["rotation"][:, order]}
    torch.testing.assert_close(task(shuffled)["loss"], task(batch)["loss"], atol=1e-4, rtol=1e-4)


@pytest.mark.heavy
def test_a_few_steps_on_one_batch_align_matching_pairs_with_transformers(batch: dict[str, Tensor]) -> None:
    # Without the warm-up they stay at chance: the normalisation after each sum amplifies the first steps.
    task = make(transformer=2)
    optimizer = torch.optim.Adam(task.parameters(), 1e-3)
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / 30, total_iters=30)
    first = task(batch)
    for _ in range(12):
        optimizer.zero_grad()
        task(batch)["loss"].backward()
        optimizer.step()
        warm_up.step()
    last = task(batch)
    assert last["loss"] < 0.7 * first["loss"]
    assert last["avsa_acc"] > 1.8 / 4
    assert last["avc_acc"] > 1.8 / 6


@pytest.mark.parametrize("wrong", [{"transformer": -1}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_invalid_transformer_options_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="transformer >= 0 and 0 <= dropout < 1"):
        fill(Avsa.Options, wrong)
