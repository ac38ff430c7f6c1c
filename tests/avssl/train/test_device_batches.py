"""Batches on their way to a device, and what a GPU does otherwise; the marker `gpu` needs one."""

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from avssl.config import OptimConfig, TrainConfig
from avssl.models.small import SmallVideo
from avssl.train import checkpoint
from avssl.train.device_batches import CopyStream, batch_mover
from avssl.train.fast_kernels import kernels
from avssl.train.loop import fit
from avssl.train.sync_batchnorm import convert_sync_batchnorm


def batch():
    return {
        "x": torch.arange(12.0).view(3, 4),
        "frames": torch.zeros(3, 2, dtype=torch.uint8),
        "names": ["a", "b", "c"],
    }


def test_on_the_cpu_a_batch_stays_where_it_is():
    given = batch()
    found = batch_mover(torch.device("cpu"))(given)
    assert found.keys() == given.keys()
    assert found["x"].data_ptr() == given["x"].data_ptr()
    assert found["names"] == ["a", "b", "c"]
    assert batch_mover(torch.device("meta"))(given)["x"].device.type == "meta"


def test_on_the_cpu_kernels_stay_as_they_are():
    before = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    with kernels(torch.device("cpu"), deterministic=True):
        assert before == (torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled())


def test_on_cuda_batch_normalisation_is_torchs_with_the_same_names():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm1d(4, affine=False)))
    before = dict(network.state_dict(keep_vars=True))
    found = convert_sync_batchnorm(network, torch.device("cuda"))
    assert isinstance(found[1], nn.SyncBatchNorm)
    after = dict(found.state_dict(keep_vars=True))
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert after["1.weight"] is before["1.weight"]


@pytest.mark.gpu
def test_copies_equal_the_batch_and_end_before_they_are_used():
    device, given = torch.device("cuda"), batch() | {"large": torch.randn(64, 1024, 256)}
    move = batch_mover(device)
    assert isinstance(move, CopyStream)
    for _ in range(5):
        busy = torch.randn(4096, 4096, device=device)
        for _ in range(10):
            busy = busy @ busy / 64
        found = move(given)
        assert float((found["large"].sum() - given["large"].sum().to(device)).abs()) < 1
        assert torch.equal(found["x"].cpu(), given["x"])


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["none", "default", "reduce-overhead"])
def test_a_run_on_a_gpu_learns_as_on_a_cpu_and_continues_to_the_same_bits(tiny, tmp_path, mode):
    class Task(tiny.TinyTask):
        def __init__(self):
            super().__init__()
            self.video = nn.Sequential(SmallVideo(32), nn.Linear(32, 8))

        def embeddings(self, given):
            frames = given["x"].repeat_interleave(6, 3).repeat_interleave(6, 4)
            return {"video": self.video(frames), "audio": self.head(self.audio(given["y"]))}

    settings = {"log_every": 4, "save_every": 4, "precision": "32-true"}
    cpu = Fabric(accelerator="cpu", devices=1)
    known = fit(
        Task(), tiny.Stream(), TrainConfig(steps=12, **settings), OptimConfig(), None, progress=False, fabric=cpu
    )
    own = {**settings, "compile": mode, "deterministic": True}
    whole = fit(Task(), tiny.Stream(), TrainConfig(steps=12, **own), OptimConfig(), tmp_path / "whole", progress=False)
    assert whole["loss"] == pytest.approx(known["loss"], rel=1e-2)
    for steps in (6, 12):
        config = TrainConfig(steps=steps, **own)
        fit(Task(), tiny.Stream(), config, OptimConfig(), tmp_path / "parts", progress=False)
    one, other = (checkpoint.load(tmp_path / name / checkpoint.LAST)["task"] for name in ("whole", "parts"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
