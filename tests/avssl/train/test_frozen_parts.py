"""Parts that are frozen at first: no gradient, statistics or decay until their step, and from there as any other."""

import copy

import pytest
import torch
from torch import nn

from avssl.config import OptimConfig, TrainConfig
from avssl.train.frozen_parts import FrozenParts
from avssl.train.loop import fit

FROZEN = OptimConfig(lr=1e-2, weight_decay=0.1, frozen_steps={"video": 3})


@pytest.fixture
def trained(tiny):
    """Trains a new network for some steps, in a folder or not."""

    def train(steps, optim=FROZEN, folder=None):
        task = tiny.TinyTask()
        config = TrainConfig(steps=steps, precision="32-true", save_every=steps)
        fit(task, tiny.Stream(), config, optim, folder, progress=False)
        return task

    return train


def state(task: nn.Module, part: str) -> dict[str, torch.Tensor]:
    return {name: each.clone() for name, each in task.state_dict().items() if name.startswith(part)}


def test_a_frozen_part_stays_bit_for_bit_until_its_step_and_others_are_trained(tiny, trained):
    before = tiny.TinyTask()
    for steps in (1, 3):
        task = trained(steps)
        assert all(torch.equal(each, state(before, "video")[name]) for name, each in state(task, "video").items())
        assert not torch.equal(task.audio[0].weight, before.audio[0].weight)
    after = state(trained(4), "video")
    assert not any(torch.equal(after[name], each) for name, each in state(before, "video").items())


def test_after_its_step_it_is_trained_as_if_training_began_there(tiny, trained):
    task, config = trained(3), OptimConfig(lr=1e-2, weight_decay=0.1)
    alone = copy.deepcopy(task).train()
    batch = next(iter(tiny.Stream().between(3, 4)))
    rule = torch.optim.AdamW(alone.video.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    torch.manual_seed(3)
    alone(batch)["loss"].backward()
    rule.step()
    whole = trained(4)
    for name, each in state(whole, "video").items():
        torch.testing.assert_close(each, state(alone, "video")[name], atol=1e-6, rtol=1e-5)


def test_a_run_continued_in_either_phase_is_the_uninterrupted_one(trained, tmp_path):
    whole = trained(6)
    for first in (2, 3, 5):
        folder = tmp_path / str(first)
        trained(first, folder=folder)
        parts = trained(6, folder=folder)
        assert all(torch.equal(each, parts.state_dict()[name]) for name, each in whole.state_dict().items())


def test_the_longest_prefix_decides_and_untrained_parameters_stay_so(tiny):
    task = tiny.TinyTask()
    task.video[5].bias.requires_grad_(False)
    parts = FrozenParts(task.train(), {"video": 4, "video.5": 1})
    for step, (convolution, linear) in enumerate(
        [(False, False), (False, True), (False, True), (False, True), (True, True)]
    ):
        parts.set(step)
        assert (task.video[0].weight.requires_grad, task.video[5].weight.requires_grad) == (convolution, linear)
        assert (task.video[1].training, task.video[5].training) == (convolution, linear)
        assert not task.video[5].bias.requires_grad
        assert task.audio[1].training


def test_parts_that_a_network_lacks_and_several_processes_are_one_line(tiny, trained):
    with pytest.raises(ValueError, match="optim.frozen_steps: no trainable parameter begins with 'vidoe'"):
        trained(1, OptimConfig(frozen_steps={"vidoe": 1}))
    with pytest.raises(ValueError, match="optim.frozen_steps: expected one process, got 2"):
        FrozenParts(tiny.TinyTask(), {"video": 1}, processes=2)
    with pytest.raises(ValueError, match="frozen_steps"):
        OptimConfig(frozen_steps={"video": -1})
