import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from avssl.media import iterate_frames, probe
from avssl.synth import video_render


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
        video_render, "draw_background", lambda seed, lens: np.full((lens.height, lens.width, 3), 128, np.uint8)
    )


@pytest.fixture
def same_content():
    """Asserts that a file holds the same as another, but for rounding: threads may add up in another order.

    A table may go on where the other one ends.
    """

    def check(one, other):
        if one.suffix == ".parquet":
            mine, theirs = (pq.read_table(path).to_pylist() for path in (one, other))
            for row, wanted in zip(mine[: len(theirs)], theirs, strict=True):
                assert row == {name: _rounded(value) for name, value in wanted.items()}
        elif one.suffix == ".wav":
            mine, theirs = (soundfile.read(path)[0] for path in (one, other))
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1 / 32768)  # one step of 16 bits
        elif one.suffix in (".mp4", ".avi"):
            mine, theirs = (_frames(path) for path in (one, other))
            assert mine.shape == theirs.shape
            assert np.abs(mine.astype(float) - theirs).mean() < 0.1
        else:
            assert one.read_bytes() == other.read_bytes()

    return check


def _rounded(value):
    return pytest.approx(value, rel=1e-5, abs=1e-4, nan_ok=True) if isinstance(value, float) else value


def _frames(path):
    video = probe(path).video
    count = round(video.seconds * video.frame_rate)
    return np.stack(list(iterate_frames(path, [(frame + 0.5) / video.frame_rate for frame in range(count)])))
