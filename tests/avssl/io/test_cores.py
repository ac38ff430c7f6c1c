"""Usable cores: what affinity and a container's quota leave."""

import os
from types import SimpleNamespace

import pytest
import torch

from avssl.io import cores
from avssl.io.cores import compute_threads, usable_cores
from avssl.train import distributed


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Eight cores by affinity, and control groups whose quotas a test may set."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    (tmp_path / "own").write_text("0::/slice/job\n")
    (tmp_path / "cgroup/slice/job").mkdir(parents=True)
    monkeypatch.setattr(cores, "OWN", tmp_path / "own")
    monkeypatch.setattr(cores, "CGROUPS", tmp_path / "cgroup")
    return tmp_path / "cgroup"


def test_affinity_counts_and_not_the_cores_of_the_machine(groups):
    assert usable_cores() == 8


@pytest.mark.parametrize(
    ("place", "quota", "expected"),
    [
        ("slice/job", "300000 100000", 3),
        ("slice/job", "250000 100000", 3),
        ("slice/job", "10000 100000", 1),
        ("slice", "200000 100000", 2),
        (".", "400000 100000", 4),
        ("slice/job", "max 100000", 8),
        ("slice/job", "9900000 100000", 8),
        ("slice/job", "nonsense", 8),
    ],
)
def test_the_quota_of_a_container_bounds_the_cores(groups, place, quota, expected):
    (groups / place / "cpu.max").write_text(quota + "\n")
    assert usable_cores() == expected


def test_without_affinity_or_control_groups_it_is_the_machines_cores(groups, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(cores, "OWN", groups / "gone")
    assert usable_cores() == 64


@pytest.mark.parametrize(
    ("workers", "threads", "processes", "expected"),
    [(2, 8, 1, 6), (0, 8, 1, 8), (2, 4, 1, 4), (2, 8, 2, 2), (8, 8, 1, 1), (4, 8, 4, 1)],
)
def test_a_network_takes_the_cores_that_the_loader_processes_leave(groups, workers, threads, processes, expected):
    assert compute_threads(workers, threads, processes) == expected


def test_processes_of_one_machine_share_its_usable_cores(groups, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "launch_fabric", lambda **settings: SimpleNamespace(device=torch.device("cpu")))
    before = torch.get_num_threads()
    try:
        with distributed.processes("32-true"):
            assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
