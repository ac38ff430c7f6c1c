"""Soft maximum over instances, against a double loop, and its invariances."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from avssl.errors import InputError
from avssl.losses import gather, info_nce, similarity_info_nce
from avssl.models.panorama import cell_solid_angles
from avssl.multiple_instance import LogitScale, multiple_instance_similarity
from avssl.train.distributed import leave_process_group

ROWS, COLUMNS, WIDTH = 4, 8, 6
WEIGHTS = cell_solid_angles(ROWS, COLUMNS).flatten()


def inputs(per_instance: bool = False, queries: int = 5, bags: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    places = (ROWS * COLUMNS,) if per_instance else ()
    query = torch.randn(queries, *places, WIDTH, generator=generator)
    return query, torch.randn(bags, ROWS * COLUMNS, WIDTH, generator=generator)


def double_loop(query: Tensor, bags: Tensor, sharpness: Tensor, weights: Tensor) -> Tensor:
    """The definition, one pair and one instance after the other."""
    rows = []
    for one in query:
        row = []
        for bag in bags:
            total = torch.zeros((), dtype=bags.dtype)
            for place, instance in enumerate(bag):
                own = one if one.ndim == 1 else one[place]
                cosine = own @ instance / (own.norm() * instance.norm())
                total = total + weights[place] / weights.sum() * torch.exp(sharpness * cosine)
            row.append(total.log() / sharpness)
        rows.append(torch.stack(row))
    return torch.stack(rows)


@pytest.mark.parametrize("per_instance", [False, True])
@pytest.mark.parametrize("block", [2**23, 1, 200])
def test_values_and_gradients_equal_a_double_loop(per_instance: bool, block: int) -> None:
    query, bags = inputs(per_instance)
    sharpness = torch.tensor(7.0)
    ours = [each.clone().requires_grad_() for each in (query, bags, sharpness)]
    theirs = [each.double().requires_grad_() for each in (query, bags, sharpness)]
    found = multiple_instance_similarity(*ours, WEIGHTS, block)
    expected = double_loop(*theirs, WEIGHTS.double())
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=1e-5)
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    found.backward(upstream)
    expected.backward(upstream.double())
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad.float(), atol=1e-5, rtol=1e-4)


def test_memory_of_the_cosines_is_bounded_by_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    query, bags = inputs(queries=7)
    queries, einsum = [], torch.einsum

    def counted(equation: str, chunk: Tensor, instances: Tensor) -> Tensor:
        queries.append(len(chunk))
        return einsum(equation, chunk, instances)

    monkeypatch.setattr(torch, "einsum", counted)
    multiple_instance_similarity(query, bags, block=2 * bags.shape[0] * bags.shape[1])
    assert queries == [2, 2, 2, 1]


def test_rolling_a_panorama_by_a_cell_changes_nothing() -> None:
    query, bags = inputs()
    rolled = bags.unflatten(1, (ROWS, COLUMNS)).roll(3, 2).flatten(1, 2)
    torch.testing.assert_close(*(multiple_instance_similarity(query, each, 20.0, WEIGHTS) for each in (bags, rolled)))


def test_cells_at_the_poles_count_by_their_solid_angle() -> None:
    query = torch.eye(2)[:1]
    at_pole, at_horizon = (torch.eye(2)[1].repeat(1, ROWS * COLUMNS, 1) for _ in range(2))
    at_pole[0, 0], at_horizon[0, COLUMNS] = query[0], query[0]
    gains = [
        (multiple_instance_similarity(query, each, 5.0, WEIGHTS) * 5.0).exp() - 1 for each in (at_pole, at_horizon)
    ]
    edges = [math.sin(math.radians(angle)) for angle in (90, 45, 0)]
    assert float(gains[1] / gains[0]) == pytest.approx((edges[1] - edges[2]) / (edges[0] - edges[1]), rel=1e-4)


def test_sharpness_goes_from_the_weighted_mean_to_the_maximum() -> None:
    query, bags = inputs()
    cosines = torch.nn.functional.cosine_similarity(query[:, None, None], bags[None], dim=-1)
    mean = (cosines * WEIGHTS / WEIGHTS.sum()).sum(-1)
    soft, hard = (multiple_instance_similarity(query, bags, each, WEIGHTS) for each in (1e-2, 1e4))
    torch.testing.assert_close(soft, mean, atol=5e-3, rtol=0)
    torch.testing.assert_close(hard, cosines.amax(-1), atol=1e-3, rtol=0)


def test_under_bfloat16_the_similarity_is_float32_and_as_exact_as_its_inputs() -> None:
    query, bags = (each.bfloat16() for each in inputs())
    with torch.autocast("cpu", torch.bfloat16):
        found = multiple_instance_similarity(query, bags, 50.0, WEIGHTS)
    assert found.dtype == torch.float32
    expected = double_loop(query.double(), bags.double(), torch.tensor(50.0).double(), WEIGHTS.double())
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shapes", [((5, 4), (3, 8, 6)), ((5, 7, 6), (3, 8, 6)), ((5, 6), (8, 6)), ((6,), (3, 8, 6))])
def test_shapes_that_do_not_fit_are_an_error(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(InputError, match=r"queries \(Q, D\)"):
        multiple_instance_similarity(*(torch.ones(shape) for shape in shapes))
    with pytest.raises(InputError, match="weights"):
        multiple_instance_similarity(torch.ones(5, 6), torch.ones(3, 8, 6), weights=torch.ones(7))


def test_learnt_temperature_starts_as_given_has_a_gradient_and_a_floor() -> None:
    scale = LogitScale(0.1)
    assert float(scale.temperature.detach()) == pytest.approx(0.1)
    logits = scale(torch.eye(3))
    torch.testing.assert_close(logits.detach(), 10 * torch.eye(3))
    similarity_info_nce(logits).backward()
    assert scale.log_scale.grad is not None
    assert float(scale.log_scale.grad) < 0
    scale.log_scale.data.fill_(20.0)
    assert float(scale.temperature.detach()) == pytest.approx(0.01)


def test_contrast_of_one_instance_a_bag_is_info_nce() -> None:
    query, bags = inputs(queries=3)
    similarity = multiple_instance_similarity(query, bags[:, :1])
    torch.testing.assert_close(similarity_info_nce(similarity / 0.07), info_nce(query, bags[:, 0], 0.07))
    with pytest.raises(InputError, match="square"):
        similarity_info_nce(similarity[:2])


def gathered_loss(query: Tensor, bags: Tensor, scale: LogitScale) -> Tensor:
    """Contrast over the batch of all processes, as `dense_avc` computes it."""
    return similarity_info_nce(scale(multiple_instance_similarity(gather(query), gather(bags), 20.0, WEIGHTS)))


def one_of_two(rank: int, folder: str) -> None:
    """One of two processes, with half of the batch; writes loss and gradients to a file."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    query, bags = (each.chunk(2)[rank].clone().requires_grad_() for each in inputs(queries=6, bags=6))
    scale = LogitScale()
    loss = gathered_loss(query, bags, scale)
    loss.backward()
    torch.save([loss.detach(), query.grad, bags.grad, scale.log_scale.grad], f"{folder}/{rank}.pt")
    leave_process_group()


@pytest.mark.heavy
def test_two_processes_give_the_loss_and_gradients_of_one(tmp_path: Path) -> None:
    multiprocessing.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    query, bags = (each.requires_grad_() for each in inputs(queries=6, bags=6))
    scale = LogitScale()
    loss = gathered_loss(query, bags, scale)
    loss.backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found[0], loss.detach())
        for summed, whole in zip(found[1:3], (query.grad, bags.grad), strict=True):
            torch.testing.assert_close(summed / 2, whole.chunk(2)[rank])  # DistributedDataParallel averages
        torch.testing.assert_close(found[3], scale.log_scale.grad)
