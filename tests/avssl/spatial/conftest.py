from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch


@pytest.fixture
def media() -> Callable[[str], Path]:
    """Path of a real file, or a skip that says what is missing."""
    root = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[4] / "shared" / "data"))

    def find(name: str) -> Path:
        if not (root / name).is_file():
            pytest.skip(f"no {root / name}; set AVSSL_TEST_MEDIA to the folder of test media")
        return root / name

    return find


@pytest.fixture
def directions() -> tuple[torch.Tensor, torch.Tensor]:
    """Azimuth and elevation of 1,000 directions, uniform on the sphere."""
    generator = torch.Generator().manual_seed(0)
    azimuth = (torch.rand(1000, generator=generator) * 2 - 1) * torch.pi
    return azimuth, torch.asin(torch.rand(1000, generator=generator) * 2 - 1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)
