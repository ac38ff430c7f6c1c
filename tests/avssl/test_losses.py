"""The contrastive losses against PyTorch, pytorch-metric-learning, closed forms, and one process against two."""

import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from pytorch_metric_learning.losses import NTXentLoss, SupConLoss
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode

from avssl.losses import alignment_accuracy, alignment_loss, further_accuracy, gather, gather_together, info_nce
from avssl.sigmoid_loss import SigmoidLoss
from avssl.train.distributed import leave_process_group


def embeddings(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, generator=generator)
    return a, a + torch.randn(*shape, generator=generator)


def dense_info_nce(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    scores = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T / temperature
    own = torch.arange(len(a))
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def gradients(loss: Tensor, *inputs: Tensor) -> Tensor:
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, inputs)])


@pytest.mark.parametrize("tile", [7, 32, 100])
def test_info_nce_and_its_gradient_equal_cross_entropy_for_any_tile(tile: int) -> None:
    a, b = (each.double().float().requires_grad_() for each in embeddings(45, 16))
    ours, theirs = info_nce(a, b, 0.1, tile=tile), dense_info_nce(a, b, 0.1)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, a, b), gradients(theirs, a, b), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("tile", [4, 64])
@pytest.mark.parametrize("temperature", [0.01, 0.024, 0.025, 5.0])
def test_info_nce_equals_cross_entropy_at_any_temperature(temperature: float, tile: int) -> None:
    a, b = (each.requires_grad_() for each in embeddings(9, 16))
    with torch.no_grad():  # opposite: its positive is the least likely of all
        b[0] = -a[0]
    ours, theirs = info_nce(a, b, temperature, tile=tile), dense_info_nce(a, b, temperature)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients(ours, a, b), gradients(theirs, a, b), atol=1e-5, rtol=1e-4)


def test_info_nce_passes_gradcheck_through_a_scaled_loss() -> None:
    a, b = (each.requires_grad_() for each in embeddings(12, 8, seed=3))
    step, direction = 1e-2, torch.randn(12, 8, generator=torch.Generator().manual_seed(1))
    slope = (gradients(3 * info_nce(a, b, 0.5), a).view_as(a) * direction).sum()
    with torch.no_grad():
        finite = 3 * (info_nce(a + step * direction, b, 0.5) - info_nce(a - step * direction, b, 0.5)) / (2 * step)
    torch.testing.assert_close(slope, finite, atol=1e-3, rtol=1e-3)


def test_info_nce_agrees_with_pytorch_metric_learning() -> None:
    a, b = embeddings(20, 16)
    labels, others = torch.arange(20), torch.arange(20)  # two objects: one object for both returns 0.0 silently
    for theirs in (SupConLoss(0.07), NTXentLoss(0.07)):
        both = (theirs(a, labels, ref_emb=b, ref_labels=others) + theirs(b, labels, ref_emb=a, ref_labels=others)) / 2
        torch.testing.assert_close(info_nce(a, b, 0.07), both, atol=1e-4, rtol=1e-4)


def test_info_nce_of_equal_rows_is_log_batch_and_of_an_identity_is_known() -> None:
    torch.testing.assert_close(info_nce(torch.ones(9, 4), torch.ones(9, 4), 0.07), torch.tensor(math.log(9)))
    expected = math.log(1 + 4 * math.exp(-2))
    torch.testing.assert_close(info_nce(torch.eye(5), 3 * torch.eye(5), 0.5), torch.tensor(expected))


def test_losses_are_float32_inside_autocast() -> None:
    a, b = embeddings(16, 4, 64)
    full = info_nce(a[:, 0], b[:, 0], 0.07), alignment_loss(a, b, 0.07)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = info_nce(a[:, 0], b[:, 0], 0.07), alignment_loss(a, b, 0.07)
        accuracy = alignment_accuracy(a, b)
    assert [each.dtype for each in inside] == [torch.float32, torch.float32]
    torch.testing.assert_close(inside, full, atol=0, rtol=0)
    assert accuracy == alignment_accuracy(a, b)


@pytest.mark.parametrize("further", [0, 2])
@pytest.mark.parametrize("negatives", ["easy+hard", "easy", "hard"])
def test_alignment_loss_is_cross_entropy_over_the_listed_candidates(negatives: str, further: int) -> None:
    predicted, target = embeddings(6, 3, 8)
    more = torch.randn(6, 3, further, 8, generator=torch.Generator().manual_seed(7), requires_grad=True)
    p, t, m = (F.normalize(each, dim=-1) for each in (predicted, target, more))
    losses = []
    for i in range(6):
        for j in range(3):
            own = [t[i, k] for k in range(3)] if "hard" in negatives else [t[i, j]]
            other = [t[n, j] for n in range(6) if n != i] if "easy" in negatives else []
            scores = torch.stack([p[i, j] @ each for each in [*own, *other, *m[i, j]]]) / 0.2
            losses.append(F.cross_entropy(scores, torch.tensor(j if "hard" in negatives else 0)))
    found, expected = alignment_loss(predicted, target, 0.2, negatives, more), torch.stack(losses).mean()
    torch.testing.assert_close(found, expected)
    plain = alignment_loss(predicted, target, 0.2, negatives)
    assert bool(found > plain) if further else torch.equal(found, plain)
    if further:
        torch.testing.assert_close(gradients(found, more), gradients(expected, more), atol=1e-6, rtol=1e-4)


def dense_alignment(predicted: Tensor, target: Tensor, temperature: float) -> Tensor:
    p, t = (F.normalize(each, dim=-1) for each in (predicted, target))
    hard, easy = p @ t.mT, torch.einsum("ikd,jkd->ikj", p, t)
    easy = easy.masked_fill(torch.eye(len(p), dtype=torch.bool)[:, None], -math.inf)
    return (torch.cat([hard, easy], -1) / temperature).logsumexp(-1).sub(hard.diagonal(0, 1, 2) / temperature).mean()


@pytest.mark.parametrize("temperature", [0.01, 0.1])
@pytest.mark.parametrize(("clips", "tile"), [(11, 1), (11, 9), (11, 256), (1, 9)])
def test_tiled_alignment_loss_and_gradients_equal_the_dense_form(clips: int, tile: int, temperature: float) -> None:
    a, b = (each.requires_grad_() for each in embeddings(clips, 3, 16))
    ours, theirs = alignment_loss(a, b, temperature, tile=tile), dense_alignment(a, b, temperature)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients(ours, a, b), gradients(theirs, a, b), atol=1e-5, rtol=1e-4)


class LargestTensor(TorchDispatchMode):
    """Numbers in the largest tensor that any operation returns."""

    largest = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        found = operation(*args, **(kwargs or {}))
        tensors = [each for each in torch.utils._pytree.tree_leaves(found) if isinstance(each, Tensor)]
        self.largest = max(
            [self.largest, *(each.untyped_storage().nbytes() // each.element_size() for each in tensors)]
        )
        return found


LARGE = {
    "info_nce": lambda a, b: info_nce(a[:, 0], b[:, 0], tile=16),
    "alignment_loss": lambda a, b: alignment_loss(a, b, 0.1, tile=16),
    "sigmoid pairs": lambda a, b: SigmoidLoss().pairs(a[:, 0], b[:, 0], 16)["loss"],
    "sigmoid alignment": lambda a, b: SigmoidLoss().alignment(a, b, tile=16)["loss"],
}


@pytest.mark.parametrize("name", LARGE)
def test_no_tensor_of_a_loss_is_larger_than_a_tile_of_all_rows(name: str) -> None:
    a, b = (each.requires_grad_() for each in embeddings(300, 4, 8))
    with LargestTensor() as seen:
        LARGE[name](a, b).backward()
    assert seen.largest <= 16 * 300 + 300 * 4 * 8, "dense: 300 * 300, or 4 times that"


@pytest.mark.parametrize("name", LARGE)
def test_a_second_derivative_is_an_error_instead_of_a_part_of_it(name: str) -> None:
    a, b = (each.requires_grad_() for each in embeddings(6, 4, 8))
    with pytest.raises(RuntimeError, match="expected a first derivative of a tiled contrast"):
        torch.autograd.grad(LARGE[name](a, b), a, create_graph=True)


def test_accuracy_among_further_negatives_counts_crops_that_beat_all_of_theirs() -> None:
    codes = torch.eye(12).view(4, 3, 12)
    further = codes.roll(1, 1)[:, :, None].repeat(1, 1, 2, 1)
    further[1, 2, 1] = codes[1, 2] + 0.1  # close to its match, but not as close
    further[2, 0, 0] = codes[2, 0]  # a tie counts as correct
    assert further_accuracy(codes, codes, further) == 1
    target = codes.clone()
    target[3, 1] = codes[3, 1] + codes[0, 0]  # now as close as one of its negatives, and farther than another
    further[3, 1] = torch.stack([target[3, 1], codes[3, 1] + 0.5 * codes[0, 0]])
    assert float(further_accuracy(codes, target, further)) == pytest.approx(11 / 12)
    with pytest.raises(ValueError, match=re.escape("expected further negatives (B, K, Y, D), got (4, 3, 12)")):
        further_accuracy(codes, codes, codes)


def test_alignment_with_one_crop_is_info_nce() -> None:
    a, b = embeddings(10, 1, 8)
    both = (alignment_loss(a, b, 0.07) + alignment_loss(b, a, 0.07)) / 2
    torch.testing.assert_close(both, info_nce(a[:, 0], b[:, 0], 0.07))


def test_alignment_of_equal_embeddings_is_log_of_the_candidates() -> None:
    ones = torch.ones(28, 4, 8)
    torch.testing.assert_close(alignment_loss(ones, ones, 0.07), torch.tensor(math.log(31)))


def test_accuracies_within_a_clip_and_across_clips_are_separate() -> None:
    codes = torch.eye(12).view(4, 3, 12)
    assert alignment_accuracy(codes, codes) == (1, 1)
    assert alignment_accuracy(codes, codes.roll(1, 1)) == (0, 1)  # the own clip's next crop; ties with other clips at 0
    assert alignment_accuracy(codes, codes.roll(1, 0)) == (1, 0)


def test_invalid_shapes_and_names_are_errors() -> None:
    with pytest.raises(ValueError, match=re.escape("(4, 8) and (5, 8)")):
        info_nce(torch.ones(4, 8), torch.ones(5, 8))
    with pytest.raises(ValueError, match="got 'soft'"):
        alignment_loss(torch.ones(4, 2, 8), torch.ones(4, 2, 8), negatives="soft")


def test_gather_is_the_identity_in_one_process() -> None:
    rows = torch.ones(2, 3)
    assert gather(rows) is rows


class Towers(nn.Module):
    """Two linear towers under all losses."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.sigmoid = nn.Linear(6, 5), nn.Linear(6, 5), SigmoidLoss(0.1, -3.0)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = self.a(a), self.b(b)
        further = b[:, :, None].roll(1, 1)
        softmax = alignment_loss(a, b, 0.1, further=further) + info_nce(a[:, 0], b[:, 0], 0.1, tile=3)
        aligned, pairs = self.sigmoid.alignment(a, b, "easy+hard", further), self.sigmoid.pairs(a[:, 0], b[:, 0], 3)
        everywhere = gather_together(a, b, further)
        again = alignment_loss(*everywhere[:2], 0.2, further=everywhere[2], tile=5, gathered=True)
        return softmax + aligned["loss"] + pairs["loss"] + again


def one_of_two(rank: int, folder: str) -> None:
    """One of two processes, with half of the batch; writes loss and gradient to a file."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    towers = DistributedDataParallel(Towers())
    a, b = (each[rank * 4 : rank * 4 + 4] for each in embeddings(8, 3, 6))
    loss = towers(a, b)
    loss.backward()
    found = torch.cat([each.grad.flatten() for each in towers.parameters() if each.grad is not None])
    torch.save({"loss": loss.detach(), "gradient": found}, Path(folder, f"{rank}.pt"))
    leave_process_group()


@pytest.mark.heavy
def test_loss_and_gradient_of_two_processes_equal_those_of_one(tmp_path: Path) -> None:
    multiprocessing.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    towers = Towers()
    loss = towers(*embeddings(8, 3, 6))
    loss.backward()
    expected = torch.cat([each.grad.flatten() for each in towers.parameters() if each.grad is not None])
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found["loss"], loss.detach(), atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(found["gradient"], expected, atol=1e-6, rtol=1e-5)
