"""Losses and miners of pytorch-metric-learning across modalities: against our own losses, by hand, in two processes."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from avssl import metric_learning
from avssl.losses import alignment_loss, info_nce
from avssl.metric_learning import MetricLearningLoss, alignment_negatives
from avssl.train.distributed import leave_process_group

CPU = torch.device("cpu")
WORKING = [each.strip() for each in metric_learning._known("losses").split(",")]


def embeddings(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, generator=generator)
    return a.requires_grad_(), (a + torch.randn(*shape, generator=generator)).detach().requires_grad_()


def both_ways(loss: nn.Module, a: Tensor, b: Tensor, *negatives: Tensor) -> Tensor:
    return (loss(a, b, *negatives)["loss"] + loss(b, a, *negatives)["loss"]) / 2


def gradients(loss: Tensor, *inputs: Tensor) -> Tensor:
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, inputs)])


@pytest.mark.parametrize("name", ["pml/SupConLoss", "pml/NTXentLoss"])
def test_supcon_and_ntxent_equal_info_nce_and_its_gradient(name: str) -> None:
    a, b = embeddings(24, 16)
    ours, theirs = info_nce(a, b, 0.1), both_ways(MetricLearningLoss(name, temperature=0.1), a, b)
    torch.testing.assert_close(theirs, ours, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(gradients(theirs, a, b), gradients(ours, a, b), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("kind", ["easy", "hard", "easy+hard"])
def test_supcon_over_candidates_equals_alignment_loss_and_its_gradient(kind: str) -> None:
    a, b = embeddings(6, 3, 8)
    loss = MetricLearningLoss("pml/SupConLoss", {"temperature": 0.2})
    theirs = both_ways(loss, a.flatten(0, 1), b.flatten(0, 1), alignment_negatives(6, 3, kind, CPU))
    ours = (alignment_loss(a, b, 0.2, kind) + alignment_loss(b, a, 0.2, kind)) / 2
    torch.testing.assert_close(theirs, ours, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(gradients(theirs, a, b), gradients(ours, a, b), atol=1e-6, rtol=1e-4)


def test_triplet_loss_equals_the_hinge_over_all_triplets() -> None:
    a, b = embeddings(9, 8)
    parameters = {"distance": "pml/CosineSimilarity", "reducer": "pml/MeanReducer", "margin": 0.3}
    found = MetricLearningLoss("pml/TripletMarginLoss", parameters)(a, b)["loss"]
    cosines = nn.functional.normalize(a, dim=-1) @ nn.functional.normalize(b, dim=-1).T
    hinge = (cosines - cosines.diagonal()[:, None] + 0.3).relu()
    torch.testing.assert_close(found, hinge[~torch.eye(9, dtype=torch.bool)].mean())


@pytest.mark.parametrize("name", WORKING)
def test_every_offered_loss_learns_with_and_without_a_miner_and_candidates(name: str) -> None:
    a, b = embeddings(6, 8, seed=2)
    hard = b.roll(1, 0)  # each query is nearer to a wrong reference
    for miner in ("", "pml/BatchHardMiner", "pml/PairMarginMiner"):
        loss = MetricLearningLoss(name, miner=miner)
        for negatives in (None, alignment_negatives(3, 2, "easy+hard", CPU)):
            found = loss(a, hard, negatives)["loss"]
            assert found > 0
            assert all(part.abs().sum() > 0 for part in torch.autograd.grad(found, (a, hard)))


def test_a_miner_selects_the_hardest_pairs() -> None:
    a, b = embeddings(16, 8)
    mined = MetricLearningLoss("pml/SupConLoss", {"temperature": 0.1}, "pml/BatchHardMiner")(a, b)
    assert mined["mined"] == pytest.approx(1 / 15)  # the hardest negative of each query
    similarities = nn.functional.normalize(a, dim=-1) @ nn.functional.normalize(b, dim=-1).T / 0.1
    own, others = similarities.diagonal(), similarities.masked_fill(torch.eye(16, dtype=torch.bool), -torch.inf)
    by_hand = torch.stack([own, others.amax(1)], 1).logsumexp(1) - own
    torch.testing.assert_close(mined["loss"], by_hand.mean())


def test_a_miner_chooses_among_the_candidates_only() -> None:
    a, b = embeddings(12, 8)
    negatives = alignment_negatives(4, 3, "hard", CPU)
    loss = MetricLearningLoss("pml/ContrastiveLoss", {"neg_margin": 2.0}, "pml/PairMarginMiner", {"neg_margin": 9.0})
    gradient = torch.autograd.grad(loss(a[:3], b[:3], negatives[:3, :3])["loss"], b)[0]
    assert loss(a, b, negatives)["mined"] == 1.0
    assert bool((gradient[3:] == 0).all())


def test_no_mined_pair_gives_zero_loss_with_a_gradient() -> None:
    a, b = embeddings(6, 8)
    loss = MetricLearningLoss("pml/SupConLoss", {}, "pml/PairMarginMiner", {"neg_margin": -1.0, "pos_margin": 9.0})
    found = loss(a, b)
    assert (found["loss"], found["mined"]) == (0, 0)
    assert torch.autograd.grad(found["loss"], (a, b))[0].shape == a.shape


def test_evaluation_is_deterministic_and_keeps_the_random_state() -> None:
    a, b = embeddings(12, 8)
    loss = MetricLearningLoss("pml/TripletMarginLoss", {"triplets_per_anchor": 1, "margin": 2.0}).eval()
    before = torch.random.get_rng_state()
    assert loss(a, b)["loss"] == loss(a, b)["loss"]
    assert torch.equal(before, torch.random.get_rng_state())


def test_loss_is_float32_inside_autocast() -> None:
    a, b = embeddings(16, 8)
    loss = MetricLearningLoss("pml/SupConLoss")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(a, b)["loss"]
    torch.testing.assert_close(inside, loss(a, b)["loss"], atol=0, rtol=0)


def test_candidates_are_those_of_alignment() -> None:
    easy, hard = (alignment_negatives(3, 2, kind, CPU) for kind in ("easy", "hard"))
    assert easy.sum(1).tolist() == [2] * 6
    assert hard.sum(1).tolist() == [1] * 6
    assert torch.equal(alignment_negatives(3, 2, "easy+hard", CPU), easy | hard)
    assert hard[0].nonzero().flatten().tolist() == [1]
    assert easy[0].nonzero().flatten().tolist() == [2, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pml/SupConLos",), "got 'pml/SupConLos' (did you mean 'SupConLoss'?); use pml/AngularLoss, "),
        (("pml/FastAPLoss",), "pml/FastAPLoss: expected one of losses that support two modalities, got an error"),
        (("pml/ThresholdConsistentMarginLoss",), "got no gradient for one modality"),
        (("pml/DynamicSoftMarginLoss",), "got an error (Trying to backward through the graph a second time"),
        (("pml/ArcFaceLoss",), "pml/ArcFaceLoss: expected its parameters, got {}"),
        (("pml/ArcFaceLoss", {"num_classes": 8, "embedding_size": 16}), "(ref_emb is not supported"),
        (("pml/SupConLoss", {"temprature": 1}), "pml/SupConLoss: expected its parameters, got {'temprature': 1}"),
        (("pml/SupConLoss", {"distance": "pml/Cosine"}), "expected one of distances"),
        (("pml/SupConLoss", {}, "pml/HardMiner"), "expected one of miners of pytorch-metric-learning, got 'pml/HardM"),
        (("pml/SupConLoss", {}, "pml/EmbeddingsAlreadyPackagedAsTriplets"), "got an error"),
    ],
)
def test_incompatible_losses_are_one_line_errors(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        MetricLearningLoss(*arguments)
    assert "\n" not in str(caught.value)


def test_shapes_that_differ_are_an_error() -> None:
    with pytest.raises(ValueError, match=re.escape("got (4, 8) and (5, 8)")):
        MetricLearningLoss("pml/SupConLoss")(torch.ones(4, 8), torch.ones(5, 8))


class Towers(nn.Module):
    """Two linear towers under SupConLoss, plain, over candidates and mined."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(6, 5), nn.Linear(6, 5)
        self.plain = MetricLearningLoss("pml/SupConLoss", temperature=0.1)
        self.mined = MetricLearningLoss("pml/TripletMarginLoss", {"margin": 0.5}, "pml/BatchHardMiner")

    def embeddings(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return self.a(a), self.b(b)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = self.embeddings(a, b)
        flat = a.flatten(0, 1), b.flatten(0, 1)
        candidates = both_ways(self.plain, *flat, alignment_negatives(8, 3, "easy+hard", CPU))
        return candidates + both_ways(self.plain, a[:, 0], b[:, 0]) + both_ways(self.mined, *flat)


def one_of_two(rank: int, folder: str) -> None:
    """One of two processes, with half of the batch; writes loss and gradient to a file."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    towers = DistributedDataParallel(Towers())
    a, b = (each.detach()[rank * 4 : rank * 4 + 4] for each in embeddings(8, 3, 6))
    loss = towers(a, b)
    loss.backward()
    found = torch.cat([each.grad.flatten() for each in towers.parameters() if each.grad is not None])
    torch.save({"loss": loss.detach(), "gradient": found}, Path(folder, f"{rank}.pt"))
    leave_process_group()


@pytest.mark.heavy
def test_two_processes_give_the_loss_and_gradient_of_one_and_of_our_own_losses(tmp_path: Path) -> None:
    multiprocessing.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    towers = Towers()
    inputs = [each.detach() for each in embeddings(8, 3, 6)]
    loss = towers(*inputs)
    a, b = towers.embeddings(*inputs)
    ours = (alignment_loss(a, b, 0.1) + alignment_loss(b, a, 0.1)) / 2 + info_nce(a[:, 0], b[:, 0], 0.1)
    ours = ours + both_ways(towers.mined, a.flatten(0, 1), b.flatten(0, 1))
    parameters = list(towers.parameters())
    expected = gradients(ours, *parameters)
    torch.testing.assert_close(loss, ours, atol=1e-6, rtol=1e-6)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found["loss"], ours.detach(), atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(found["gradient"], expected, atol=1e-6, rtol=1e-5)
