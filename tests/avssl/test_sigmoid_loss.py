"""The sigmoid loss against SigLIP's algorithm 1 and binary cross-entropy; two processes are in test_losses.py."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from avssl.sigmoid_loss import SigmoidLoss


def embeddings(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, generator=generator)
    return a, a + torch.randn(*shape, generator=generator)


def algorithm_1(image: Tensor, text: Tensor, t_prime: Tensor, b: Tensor) -> Tensor:
    """Pseudo-code of Zhai et al. 2023, line by line."""
    n, t = len(image), t_prime.exp()
    zimg, ztxt = F.normalize(image, dim=-1), F.normalize(text, dim=-1)
    logits = zimg @ ztxt.T * t + b
    labels = 2 * torch.eye(n) - torch.ones(n, n)
    return -F.logsigmoid(labels * logits).sum() / n


@pytest.mark.parametrize("tile", [7, 32, 100])
def test_pairs_and_all_gradients_are_those_of_siglips_algorithm(tile: int) -> None:
    a, b = (each.requires_grad_() for each in embeddings(45, 16))
    ours = SigmoidLoss(0.1, -3.0)
    inputs = [a, b, ours.log_scale, ours.bias]
    found, expected = ours.pairs(a, b, tile)["loss"], algorithm_1(a, b, ours.log_scale, ours.bias)
    torch.testing.assert_close(found, expected)
    for one, other in zip(torch.autograd.grad(found, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_initial_values_are_siglips_and_known_losses_come_out() -> None:
    ours = SigmoidLoss()
    assert float(ours.log_scale.detach().exp()) == pytest.approx(10)
    assert float(ours.bias) == -10
    found = SigmoidLoss(0.5, 0.0).pairs(torch.eye(5), 3 * torch.eye(5))  # logits 2 and 0
    assert float(found["loss"]) == pytest.approx(math.log(1 + math.exp(-2)) + 4 * math.log(2))
    assert float(found["temperature"]) == pytest.approx(0.5)
    assert float(found["bias"]) == 0


@pytest.mark.parametrize("further", [0, 2])
@pytest.mark.parametrize("negatives", ["easy+hard", "easy", "hard"])
def test_alignment_is_binary_cross_entropy_over_the_listed_candidates(negatives: str, further: int) -> None:
    predicted, target = (each.requires_grad_() for each in embeddings(6, 3, 8))
    more = torch.randn(6, 3, further, 8, generator=torch.Generator().manual_seed(7), requires_grad=True)
    ours = SigmoidLoss(0.2, -2.0)
    p, t, m = (F.normalize(each, dim=-1) for each in (predicted, target, more))
    losses = []
    for i in range(6):
        for j in range(3):
            wrong = [t[i, k] for k in range(3) if k != j] if "hard" in negatives else []
            wrong += [t[n, j] for n in range(6) if n != i] if "easy" in negatives else []
            wrong += list(m[i, j])
            logits = torch.stack([p[i, j] @ each for each in [t[i, j], *wrong]]) * ours.log_scale.exp() + ours.bias
            labels = torch.tensor([1.0] + [0.0] * len(wrong))
            losses.append(F.binary_cross_entropy_with_logits(logits, labels, reduction="sum"))
    expected = torch.stack(losses).mean()
    found = ours.alignment(predicted, target, negatives, more if further else None)["loss"]
    torch.testing.assert_close(found, expected)
    inputs = [predicted, target, ours.log_scale, ours.bias, *([more] if further else [])]
    for one, other in zip(torch.autograd.grad(found, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_alignment_with_one_crop_is_the_loss_of_pairs_either_way() -> None:
    a, b = embeddings(10, 1, 8)
    ours = SigmoidLoss(0.1, -2.0)
    for one, other in ((a, b), (b, a)):
        torch.testing.assert_close(ours.alignment(one, other), ours.pairs(a[:, 0], b[:, 0]))


def test_sigmoid_loss_is_float32_inside_autocast() -> None:
    a, b = embeddings(16, 4, 64)
    ours = SigmoidLoss()
    full = ours.pairs(a[:, 0], b[:, 0])["loss"], ours.alignment(a, b)["loss"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = ours.pairs(a[:, 0], b[:, 0])["loss"], ours.alignment(a, b)["loss"]
    assert inside[0].dtype == inside[1].dtype == torch.float32
    torch.testing.assert_close(inside, full, atol=0, rtol=0)


@pytest.mark.parametrize(("temperature", "bias"), [(0.0, 0.0), (-1.0, 0.0), (0.1, math.inf)])
def test_invalid_parameters_and_shapes_are_errors(temperature: float, bias: float) -> None:
    with pytest.raises(ValueError, match="expected a positive temperature and a finite bias"):
        SigmoidLoss(temperature, bias)
    with pytest.raises(ValueError, match=r"got \(4, 8\) and \(5, 8\)"):
        SigmoidLoss().pairs(torch.ones(4, 8), torch.ones(5, 8))
    with pytest.raises(ValueError, match="got 'soft'"):
        SigmoidLoss().alignment(torch.ones(4, 2, 8), torch.ones(4, 2, 8), "soft")
