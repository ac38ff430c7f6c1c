import pytest
import torch
from torch import nn
from torch.testing import assert_close

from avssl.train import checkpoint
from avssl.train.sync_batchnorm import SyncBatchNorm, convert_sync_batchnorm

pytestmark = pytest.mark.heavy
CPU = torch.device("cpu")


def load(path):
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_processes_equal_one_in_loss_gradient_and_buffers(run_tiny, tmp_path, count):
    for processes in (1, count):
        process = run_tiny("gradients", tmp_path, processes=processes)
        assert process.wait(120) == 0, process.stderr.read()
    one, first, *others = (
        load(tmp_path / name) for name in ("1-0.pt", *(f"{count}-{each}.pt" for each in range(count)))
    )
    for name in one:
        assert (first[name] - one[name]).float().norm() <= 1e-5 * one[name].float().norm(), name
        for other in others:
            assert one.keys() == first.keys() == other.keys()
            assert torch.equal(first[name], other[name]), name


def test_two_processes_train_as_one(tiny, run_tiny, tmp_path):
    (tmp_path / "one").mkdir()
    alone = tiny.train(tmp_path / "one", dropout=0.0, precision="32-true")
    process = run_tiny("train", tmp_path / "two", processes=2, dropout=0.0, precision="32-true")
    assert process.wait(120) == 0, process.stderr.read()
    one, two = (checkpoint.load(tmp_path / name / checkpoint.LAST) for name in ("one", "two"))
    assert_close(two["run"]["loss"], alone["loss"], rtol=1e-4, atol=1e-5)
    assert two["run"]["clips"] == one["run"]["clips"] == 12 * 8
    for name, value in one["task"].items():
        assert_close(two["task"][name], value, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_replacement_shares_parameters_and_names():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm1d(4, affine=False)))
    before = dict(network.state_dict(keep_vars=True))
    spanning = convert_sync_batchnorm(network, CPU)
    assert isinstance(spanning[1], SyncBatchNorm)
    assert isinstance(spanning[2][0], SyncBatchNorm)
    after = dict(spanning.state_dict(keep_vars=True))
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


def test_alone_and_in_evaluation_it_is_torchs():
    ours, theirs = convert_sync_batchnorm(nn.BatchNorm2d(5), CPU), nn.BatchNorm2d(5)
    frames = torch.randn(6, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours(frames), theirs(frames))
    assert torch.equal(ours.eval()(frames), theirs.eval()(frames))
