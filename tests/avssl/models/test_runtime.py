"""Mixed precision: autocast inside a network, inputs as they are."""

import pytest
import torch
from torch import Tensor, nn

from avssl.models.runtime import single_process


class Recorder(nn.Module):
    """Linear layer that keeps its input and output."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        self.seen, self.out = batch["x"].clone(), self.layer(batch["x"])
        return self.out.float().mean()


@pytest.mark.parametrize(("precision", "inside"), [("bf16-mixed", torch.bfloat16), ("32-true", torch.float32)])
def test_inputs_of_a_network_are_not_rounded(precision: str, inside: torch.dtype) -> None:
    fabric, network = single_process(precision), Recorder()
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)) / 3
    loss = fabric.setup(network)({"x": x})
    assert torch.equal(network.seen, x)
    assert network.out.dtype == inside
    fabric.backward(loss)
    assert network.layer.weight.grad is not None
    assert network.layer.weight.grad.dtype == torch.float32
