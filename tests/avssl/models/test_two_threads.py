"""Two networks in two threads: bit by bit the numbers of one thread."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from avssl.models.small import SmallAudio, SmallVideo
from avssl.models.two_threads import both, two_threads


def loss_and_gradients(enabled: bool, autocast: bool, **options) -> tuple[torch.Tensor, list[torch.Tensor]]:
    torch.manual_seed(0)
    video, audio = SmallVideo(), SmallAudio(7)
    frames, maps = torch.randn(4, 3, 1, 64, 64), torch.randn(4, 7, 50, 64)
    with two_threads(enabled), torch.autocast("cpu", torch.bfloat16, autocast):
        a, b = both(lambda: video(frames), lambda: audio(maps), **options)
        loss = (a.float() - b.float()).square().mean()
    loss.backward()
    return loss, [each.grad for each in (*video.parameters(), *audio.parameters())]


@pytest.fixture
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("autocast", [False, True])
def test_loss_and_gradients_are_those_of_one_thread(autocast):
    loss, gradients = loss_and_gradients(True, autocast)
    expected, expected_gradients = loss_and_gradients(False, autocast)
    assert torch.equal(loss, expected)
    for mine, other in zip(gradients, expected_gradients, strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(("enabled", "random", "used"), [(True, False, 2), (False, False, 1), (True, True, 1)])
def test_second_network_runs_in_another_thread_only_where_asked(enabled, random, used):
    layer, threads = nn.Linear(2, 2), set()

    def network():
        threads.add(threading.get_ident())
        return layer(torch.ones(1, 2))

    with two_threads(enabled):
        both(network, network, random=random)
        with torch.no_grad():
            both(network, network)
    assert len(threads) == used


def test_error_of_the_second_network_is_raised():
    def broken():
        raise ValueError("broken")

    with two_threads(True), pytest.raises(ValueError, match="broken"):
        both(lambda: nn.Linear(2, 2)(torch.ones(1, 2)), broken)
