import numpy as np
import pytest

from avssl.scenes import picture


@pytest.fixture
def disc():
    """A white disc that fills its picture."""
    rows, columns = np.mgrid[0:256, 0:256] + 0.5
    inside = np.hypot(rows - 128, columns - 128) < 127
    return np.repeat(inside[..., None] * np.uint8(255), 4, axis=-1)


@pytest.fixture
def grey(monkeypatch):
    """Backgrounds are grey."""
    monkeypatch.setattr(
        picture, "draw_background", lambda seed, lens: np.full((lens.height, lens.width, 3), 128, np.uint8)
    )
