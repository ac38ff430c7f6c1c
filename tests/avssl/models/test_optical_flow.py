"""Optical flow of images shifted by a known number of pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from avssl.models.optical_flow import RAFT, flow_estimator, flow_to_rgb


def texture(height: int = 96, width: int = 192) -> torch.Tensor:
    """Smooth image that continues beyond its edges, (3, H, W)."""
    noise = np.random.default_rng(0).uniform(0, 255, (3, height, width))
    tiled = np.tile(noise, (1, 3, 3))
    smooth = np.stack([cv2.GaussianBlur(each, (0, 0), 3) for each in tiled])[:, height : 2 * height, width : 2 * width]
    return torch.from_numpy((smooth - smooth.min()) / np.ptp(smooth) * 255).to(torch.uint8)


def moved(right: int, down: int, count: int = 3) -> torch.Tensor:
    """Frames of the texture, each shifted by a number of pixels."""
    return torch.stack([texture().roll((step * down, step * right), (1, 2)) for step in range(count)])


@pytest.mark.parametrize(("right", "down"), [(4, 0), (0, -3), (-2, 2)])
def test_flow_is_the_motion_in_pixels_to_the_right_and_down(right, down):
    flow = flow_estimator()(moved(right, down))
    assert flow.shape == (3, 2, 96, 192)
    inside = flow[..., 12:-12, 12:-12]
    assert (inside[:, 0] - right).abs().mean() < 0.1
    assert (inside[:, 1] - down).abs().mean() < 0.1


def test_the_last_flow_is_repeated_and_a_single_frame_has_none():
    estimate = flow_estimator()
    flow = estimate(moved(3, 0))
    assert torch.equal(flow[-1], flow[-2])
    assert torch.equal(estimate(moved(3, 0, count=1)), torch.zeros(1, 2, 96, 192))


def test_flow_across_the_seam_of_a_panorama_is_found():
    def wrong(panoramic: bool) -> float:
        flow = flow_estimator(panoramic=panoramic)(moved(12, 0))
        edges = torch.cat([flow[:, 0, 12:-12, :12], flow[:, 0, 12:-12, -12:]], -1)
        return float((edges - 12).abs().mean())

    assert wrong(panoramic=True) < 0.3 < wrong(panoramic=False)


def test_flow_to_rgb_keeps_direction_and_magnitude():
    flow = torch.tensor([[0.0, 8.0, -100.0], [0.0, 0.0, 0.0]])[:, None]
    assert flow_to_rgb(flow)[:, 0].T.tolist() == [[128, 128, 0], [192, 128, 128], [0, 128, 255]]


def test_raft_reads_its_weights_from_a_file_and_takes_any_size(tmp_path):
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    network = raft_small().eval()
    save_file(network.state_dict(), tmp_path / "raft.safetensors")
    frames = torch.stack([texture(100, 123), texture(100, 123).roll(2, 2)])
    found = flow_estimator("raft_small", str(tmp_path / "raft.safetensors"))(frames)
    with torch.no_grad():
        one, other = functional.pad(frames / 127.5 - 1, (0, 5, 0, 28), mode="replicate").split(1)
        expected = network(one, other)[-1][..., :100, :123]
    torch.testing.assert_close(found, expected.repeat(2, 1, 1, 1))


@pytest.mark.parametrize("method", ["disk", *RAFT])
def test_invalid_methods_and_weights_are_one_line_errors(method, tmp_path):
    wrong = tmp_path / "wrong.safetensors"
    save_file({"weight": torch.zeros(2)}, wrong)
    for weights in ("", str(tmp_path / "missing.safetensors"), str(tmp_path / "raft.pth"), str(wrong)):
        with pytest.raises(ValueError, match=r"\A.+\Z"):
            flow_estimator(method, weights)
    with pytest.raises(ValueError, match="no weights"):
        flow_estimator("dis", "raft.safetensors")
