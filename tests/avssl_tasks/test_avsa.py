"""avsa with cross-modal transformers, yaw negatives and the sigmoid loss, and unchanged without them."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from avssl_tasks.avsa import Avsa
from torch import Tensor, nn
from torch.utils.data import default_collate

from avssl.config import FeatureConfig, ModelConfig, fill
from avssl.losses import alignment_loss, further_accuracy
from avssl.models.encoder_factory import build_encoders
from avssl.spatial.ambisonics import rotate
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


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("directions", [0, 2])
def test_pre_norm_transformers_begin_with_the_loss_without_them(
    batch: dict[str, Tensor], training: bool, directions: int
) -> None:
    settings = {"transformer": 2, "transformer_norm": "pre", "relative_directions": directions}
    found, expected = (task.train(training)(batch) for task in (make(**settings), make()))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_transformers_take_the_directions_of_the_crops_of_a_batch(batch: dict[str, Tensor]) -> None:
    task = make(transformer=1, relative_directions=2).eval()
    common = {**batch, "rotation": batch["rotation"] @ torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])}
    for name in ("v2a_transformer", "a2v_transformer"):
        transformer, width = getattr(task, name), task.encoders.video_width
        seen = []
        handle = transformer.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[1]))
        task(batch)
        handle.remove()
        assert torch.equal(seen[0], batch["rotation"])
        crops = torch.randn(6, 4, width)
        found = transformer(crops, batch["rotation"])
        torch.testing.assert_close(transformer(crops, common["rotation"]), found, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(transformer(crops, batch["rotation"].roll(1, 1)), found, atol=1e-3)


def test_each_prediction_is_compared_with_the_modality_that_it_predicts(batch: dict[str, Tensor]) -> None:
    task = make(transformer=2, negatives="hard").eval()
    nn.init.zeros_(task.video_pred_head.weight)
    nn.init.zeros_(task.video_pred_head.bias)
    # With equal predictions for all crops, one direction is at chance; the other is from the video's transformer.
    video, audio = (each.unflatten(0, (6, 4)) for each in task.encode(batch))
    predicted = task.audio_pred_head(task.v2a_transformer(video))
    expected = (alignment_loss(predicted, task.audio_head(audio), 0.07, "hard") + np.log(4)) / 2
    torch.testing.assert_close(task(batch)["loss"], expected)


@pytest.mark.parametrize("loss", ["info-nce", "sigmoid"])
def test_embeddings_are_contrasted_as_without_transformers_beside_the_predictions(
    batch: dict[str, Tensor], loss: str
) -> None:
    plain, published = make(loss=loss).eval(), make(loss=loss, transformer=2).eval()
    both = make(loss=loss, transformer=2, embedding_weight=0.5).eval()
    found, own, predicted = both(batch), plain(batch)["loss"], published(batch)["loss"]
    torch.testing.assert_close(found["embedding_loss"], own)
    torch.testing.assert_close(found["loss"], predicted + 0.5 * own)
    gradients = torch.autograd.grad(found["embedding_loss"], list(both.v2a_transformer.parameters()), allow_unused=True)
    assert all(each is None for each in gradients)


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


@pytest.mark.parametrize("most", [180.0, 100.0])
@pytest.mark.parametrize("count", [1, 3])
def test_yaw_negatives_keep_their_distance_and_fill_the_circle(count: int, most: float) -> None:
    task = make(yaw_negatives=count, min_yaw=40.0, max_yaw=most, scene_rotation="any")
    plain, width = make(scene_rotation="any"), 2 * most - 80
    angles = []
    for seed, clip in enumerate(make_clips(40)):
        views, twin = (each.views(clip, np.random.default_rng(seed)) for each in (task, plain))
        assert all(torch.equal(views[name], twin[name]) for name in twin)  # the same crops as without
        turn = views["rotation"].mT[:, None] @ views["yaw_rotation"]  # about the vertical of the clip
        torch.testing.assert_close(turn[..., 2, :], torch.tensor([0.0, 0, 1]).expand(4, count, 3), atol=1e-5, rtol=0)
        angles.append(torch.atan2(turn[..., 1, 0], turn[..., 0, 0]).rad2deg() % 360)
    found = torch.stack(angles)
    assert found.min() >= 40
    assert found.max() <= 320
    assert bool(((found <= most) | (found >= 360 - most)).all())
    found = torch.where(found <= most, found, found - (360 - 2 * most))  # without the gap
    arcs = ((found - 40) / (width / count)).long().clamp(max=count - 1)
    assert torch.equal(arcs.sort(-1).values, torch.arange(count).expand_as(arcs))  # one yaw in each arc
    assert found.std() > width / 12**0.5 * 0.9  # uniform over both sides
    assert len(found.unique()) == found.numel()


@pytest.mark.parametrize("loss", ["info-nce", "sigmoid"])
@pytest.mark.parametrize("transformer", [0, 1])
def test_yaw_negatives_are_candidates_of_the_video_query_alone(loss: str, transformer: int) -> None:
    rng = np.random.default_rng(0)
    task = make(yaw_negatives=2, loss=loss, transformer=transformer, dropout=0.0, negatives="hard")
    batch = default_collate([task.views(clip, rng) for clip in make_clips(3)])
    task.eval()
    video, audio = (each.unflatten(0, (3, 4)) for each in task.encode(batch))
    turned = rotate(batch["audio"][:, None, None], batch["yaw_rotation"]).flatten(0, 2)
    further = task.audio_head(task.encoders.audio(turned).unflatten(0, (3, 4, 2)))
    from_video, from_audio = task.video_head(video), task.audio_head(audio)
    targets = from_audio, from_video
    if transformer:
        from_video = task.audio_pred_head(task.v2a_transformer(video))
        from_audio = task.video_pred_head(task.a2v_transformer(audio))
    pairs = ((from_video, targets[0], further), (from_audio, targets[1], None))
    if task.sigmoid_loss is None:
        losses = [alignment_loss(one, other, 0.07, "hard", more) for one, other, more in pairs]
    else:
        losses = [task.sigmoid_loss.alignment(one, other, "hard", more)["loss"] for one, other, more in pairs]
    found = task(batch)
    torch.testing.assert_close(found["loss"], sum(losses) / 2, atol=1e-5, rtol=1e-5)
    assert found["yaw_acc"] == further_accuracy(from_video, targets[0], further)


def test_yaw_negatives_give_the_gradient_of_their_softmax_weights() -> None:
    """Of one more candidate, -log softmax has the gradient: its probability times the query, over the temperature."""
    predicted, target = (torch.nn.functional.normalize(torch.randn(2, 3, 8), dim=-1) for _ in range(2))
    further = torch.nn.functional.normalize(torch.randn(2, 3, 2, 8), dim=-1).requires_grad_()
    alignment_loss(predicted, target, 0.2, "hard", further).backward()
    scores = torch.cat([predicted @ target.mT, torch.einsum("ikd,ikyd->iky", predicted, further)], -1) / 0.2
    weight = scores.softmax(-1)[..., 3:, None].detach()
    gradient = weight * predicted[:, :, None] / 0.2 / 6
    tangent = gradient - (gradient * further).sum(-1, keepdim=True) * further  # through the normalisation
    assert further.grad is not None
    torch.testing.assert_close(further.grad, tangent.detach(), atol=1e-6, rtol=1e-5)


def test_yaw_negatives_train_the_audio_tower_and_the_query() -> None:
    """Without other candidates the loss is that of the yaws alone, and its gradient reaches both towers."""
    task = make(yaw_negatives=2, negatives="hard")
    batch = default_collate([task.views(clip, np.random.default_rng(0)) for clip in make_clips(3)])
    video, audio, further = task._encode(batch)
    query, turned = task.video_head(video), further["yaw_rotation"]
    score = torch.nn.functional.cosine_similarity(query[:, :, None], turned, dim=-1).sum()
    parts = {"video": task.encoders.video, "audio": task.encoders.audio}
    for part in parts.values():
        gradients = torch.autograd.grad(score, list(part.parameters()), retain_graph=True, allow_unused=True)
        assert sum(float(each.abs().sum()) for each in gradients if each is not None) > 0
    together = torch.cat([batch["rotation"][:, :, None], batch["yaw_rotation"]], 2).flatten(1, 2)
    expected = task.encode_audio(batch["audio"], together).unflatten(1, (4, 3))  # one pass: statistics of one batch
    torch.testing.assert_close(audio, expected[:, :, 0])
    torch.testing.assert_close(turned, task.audio_head(expected[:, :, 1:]))


@pytest.mark.parametrize(
    "options", [{"yaw_negatives": 2}, {"loss": "sigmoid"}, {"transformer": 1, "relative_directions": 1}]
)
def test_contract_with_each_switch(options: dict[str, Any]) -> None:
    check_task(make(**options), make_clips(2))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"yaw_negatives": -1},
            "expected yaw_negatives >= 0 and 0 < min_yaw < max_yaw <= 180 degrees, got -1, 30 and 180",
        ),
        ({"min_yaw": 0}, "got 0, 0 and 180"),
        ({"min_yaw": 60, "max_yaw": 60}, "got 0, 60 and 60"),
        ({"max_yaw": 181}, "got 0, 30 and 181"),
        ({"yaw_negatives": 2, "loss": "pml/SupConLoss"}, "expected loss info-nce or sigmoid with yaw_negatives"),
        ({"relative_directions": 2}, "0 without a transformer, got 2 with transformer=0"),
        ({"transformer": 1, "relative_directions": -1}, "got -1 with transformer=1"),
        ({"embedding_weight": 1}, "0 without a transformer, got 1 with transformer=0"),
        ({"transformer": 1, "embedding_weight": -1}, "expected embedding_weight >= 0, and 0"),
        ({"transformer": 1, "embedding_weight": math.inf}, "expected embedding_weight to be a finite number"),
        ({"transformer": 1, "transformer_norm": "layer"}, "transformer_norm is post, pre, not 'layer'"),
    ],
)
def test_invalid_switches_are_errors(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        fill(Avsa.Options, wrong)


def test_yaw_negatives_need_features_with_a_direction() -> None:
    encoders = build_encoders(ModelConfig(), FeatureConfig(name="mono-logmel"))
    with pytest.raises(ValueError, match="expected yaw_negatives=0 with features mono-logmel, got 2"):
        Avsa(encoders, fill(Avsa.Options, {"yaw_negatives": 2}))


@pytest.mark.parametrize("wrong", [{"transformer": -1}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_invalid_transformer_options_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="transformer >= 0 and 0 <= dropout < 1"):
        fill(Avsa.Options, wrong)
