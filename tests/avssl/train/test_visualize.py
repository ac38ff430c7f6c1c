from types import SimpleNamespace

import cv2
import pytest
import torch
from torch import nn

from avssl.config import FeatureConfig, ModelConfig
from avssl.models.encoders import Encoders
from avssl.spatial.ambisonics import encode
from avssl.train.visualize import draw_curve, draw_views, mosaic, summarize_batch


@pytest.fixture(scope="module")
def task():
    made = nn.Module()
    made.encoders = Encoders(ModelConfig(), FeatureConfig(mels=32))
    return made


@pytest.fixture
def batch():
    noise = torch.randn(2, 1, 12000, generator=torch.Generator().manual_seed(0)) * 0.1
    audio = torch.stack([encode(each[0], torch.tensor(0.0), torch.tensor(0.0)) for each in noise])
    frames = torch.arange(2 * 3, dtype=torch.uint8).reshape(2, 3, 1, 1, 1, 1).expand(2, 3, 1, 3, 8, 8)
    return {"frames": frames, "audio": audio, "rotation": torch.eye(3).expand(2, 3, 3, 3)}


def test_a_mosaic_has_a_row_a_clip_and_a_column_a_view(batch):
    image = mosaic(batch["frames"])
    assert image.shape == (3, 16, 24)
    assert image[0, ::8, ::8].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert mosaic(batch["frames"][:, 0]).shape == (3, 16, 8)


def test_audio_and_all_maps_are_summary(task, batch):
    summary = summarize_batch(task, batch)
    assert summary.images["features"].shape[1] == 7 * 32
    assert 0 <= summary.images["features"].min() <= summary.images["features"].max() <= 1
    audio, rate = summary.waveforms["audio"]
    assert rate == 24000
    assert audio.shape == (1, 12000)
    assert audio.abs().max() == pytest.approx(1)


def test_what_a_batch_lacks_is_left_out(task, batch):
    assert summarize_batch(nn.Identity(), {"x": torch.zeros(1)}).images == {}
    assert list(summarize_batch(task, {"frames": batch["frames"]}).images) == ["views"]


def test_what_a_task_means_otherwise_by_these_keys_is_left_out(task, batch, tmp_path):
    frames, audio = batch["frames"], batch["audio"]
    for odd in (frames[:, 0, 0], frames.float(), frames.movedim(3, -1), torch.zeros(2), "frames"):
        assert "views" not in summarize_batch(task, {"frames": odd}).images
        draw_views(tmp_path / "none.png", task, {**batch, "frames": odd})
    for odd in (audio[:, 0], audio[:, :3], audio[:, None], audio[..., :100], None):
        assert summarize_batch(task, {"audio": odd}).waveforms == {}
        draw_views(tmp_path / "none.png", task, {**batch, "audio": odd})
    assert not (tmp_path / "none.png").exists()
    draw_views(tmp_path / "some.png", task, {**batch, "rotation": torch.rand(2)})
    assert (tmp_path / "some.png").exists()


def test_figures_are_frames(task, batch, tmp_path):
    draw_views(tmp_path / "figures" / "views.png", task, batch)
    draw_curve(tmp_path / "figures" / "loss.png", [(1, 2.0), (2, 1.0)])
    for name in ("views", "loss"):
        image = cv2.imread(str(tmp_path / "figures" / f"{name}.png"))
        assert image.std() > 10
    draw_views(tmp_path / "none.png", SimpleNamespace(), batch)
    assert not (tmp_path / "none.png").exists()
