"""Mixed precision: autocast inside a network, inputs as they are."""

import pytest
import torch
from torch import Tensor, nn

from avssl.io.arithmetic import resolve_precision
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


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx2": True}, "32-true"), ({"avx512_f": True}, "32-true"), ({"avx512_bf16": True}, "bf16-mixed"),
     ({"amx_bf16": True, "avx512_bf16": False}, "bf16-mixed")],
)  # fmt: skip
def test_auto_is_bfloat16_where_the_processor_computes_it(monkeypatch, capabilities, expected) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve_precision("auto") == expected
    assert resolve_precision("bf16-mixed") == "bf16-mixed"
    inside = torch.bfloat16 if expected == "bf16-mixed" else torch.float32
    network = Recorder()
    single_process("auto").setup(network)({"x": torch.ones(1, 4)})
    assert network.out.dtype == inside


@pytest.mark.parametrize(("hardware", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_on_a_gpu_asks_for_arithmetic_without_emulation(monkeypatch, hardware, expected) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or hardware
    )
    assert resolve_precision("auto") == expected
