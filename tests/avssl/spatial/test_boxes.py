"""Boxes on the sphere against round objects of known direction and size, and Monte Carlo areas."""

import math

import numpy as np
import pytest
import torch

from avssl.spatial.ambisonics import angle_between, rotation
from avssl.spatial.boxes import from_frame, from_view, merge, outline, overlaps
from avssl.spatial.viewport import project

RADIUS = math.radians(12)


def rim(azimuth, elevation, radius=RADIUS, count=720):
    """Azimuth and elevation along the edge of a round object."""
    turn = torch.linspace(0, 2 * math.pi, count, dtype=torch.float64)
    cap = torch.stack(
        [torch.full_like(turn, math.cos(radius)), math.sin(radius) * turn.cos(), math.sin(radius) * turn.sin()]
    )
    x, y, z = rotation(torch.tensor(azimuth, dtype=torch.float64), torch.tensor(elevation, dtype=torch.float64)) @ cap
    return torch.atan2(y, x), torch.asin(z.clamp(-1, 1))


def apart(box, azimuth, elevation):
    return float(angle_between(float(box[0]), float(box[1]), azimuth, elevation))


@pytest.mark.parametrize("azimuth", [0.0, 0.5, -0.55])
@pytest.mark.parametrize(
    ("above", "pole"), [(0.0, 0.0), (0.4, 0.0), (-0.5, 0.0), (0.3, math.pi / 2), (-0.1, -math.pi / 2)]
)
def test_box_of_a_round_object_in_a_view_has_its_position_and_size(azimuth, above, pole):
    view = (2.0, pole)
    middle = rotation(*view) @ torch.tensor(
        [math.cos(above) * math.cos(azimuth), math.cos(above) * math.sin(azimuth), math.sin(above)]
    )
    there = (math.atan2(middle[1], middle[0]), math.asin(float(middle[2])))
    x, y = project(*rim(*there), view, math.radians(100), 640).unbind(-1)
    edges = torch.stack([x.min(), y.min(), x.max(), y.max()])[None].numpy()
    (box,) = from_view(edges, 640, *view, math.radians(100))
    assert apart(box, *there) < math.radians(1.5)
    assert box[2:] == pytest.approx([2 * RADIUS] * 2, rel=0.12)


@pytest.mark.parametrize("elevation", [0.0, 0.35, -0.7])
@pytest.mark.parametrize("azimuth", [0.0, 1.0, math.pi - 0.05, -math.pi + 0.1])
def test_box_of_a_round_object_in_a_frame_is_right_across_the_seam(azimuth, elevation):
    across, up = rim(azimuth, elevation)
    across = azimuth + (across - azimuth + math.pi) % (2 * math.pi) - math.pi
    left = (0.5 - float(across.max()) / (2 * math.pi)) % 1
    edges = [left, 0.5 - float(up.max()) / math.pi, left + float(across.max() - across.min()) / (2 * math.pi)]
    (box,) = from_frame([[*edges, 0.5 - float(up.min()) / math.pi]])
    assert apart(box, azimuth, elevation) < math.radians(0.1)
    assert box[2:] == pytest.approx([2 * RADIUS] * 2, rel=0.05)
    assert -math.pi <= box[0] < math.pi


def test_overlap_near_the_horizon_equals_that_of_flat_boxes():
    rng = np.random.default_rng(0)
    middle, size = rng.uniform(-0.06, 0.06, (40, 2)), rng.uniform(0.04, 0.15, (40, 2))
    boxes = np.concatenate([middle, size], 1)
    low, high = middle - size / 2, middle + size / 2
    shared = np.clip(np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None]), 0, None).prod(-1)
    area = size.prod(1)
    union, held = overlaps(boxes)
    assert np.abs(union - shared / (area[:, None] + area[None] - shared)).max() < 0.06
    assert np.abs(held - shared / area[:, None]).max() < 0.1
    assert np.allclose(np.diag(union), 1)


def test_overlap_at_a_pole_equals_monte_carlo_areas():
    boxes = np.array([[0.3, 1.5, 0.9, 0.7], [-2.0, 1.35, 0.8, 0.8], [1.0, -1.4, 0.5, 0.5]])
    points = np.random.default_rng(1).standard_normal((400000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    inside = []
    for azimuth, elevation, width, height in boxes:
        camera = rotation(torch.tensor(azimuth), torch.tensor(elevation)).double().numpy()
        x, y, z = (points @ camera).T
        inside.append((np.abs(np.arctan2(y, x)) < width / 2) & (np.abs(np.arcsin(z)) < height / 2))
    inside = np.array(inside)
    shared = (inside[:, None] & inside[None]).mean(-1)
    counted = shared / (inside.mean(1)[:, None] + inside.mean(1)[None] - shared)
    assert np.abs(overlaps(boxes)[0] - counted).max() < 0.05
    assert counted[0, 1] > 0.2


def test_merge_keeps_whole_boxes_and_neighbours():
    whole, piece = [0.0, 0.0, 0.4, 0.4], [0.15, 0.0, 0.1, 0.4]
    again, neighbour = [0.02, 0.0, 0.4, 0.4], [0.45, 0.0, 0.4, 0.4]
    boxes = np.array([piece, whole, again, neighbour])
    scores = np.array([0.9, 0.5, 0.4, 0.6], np.float32)
    kept = merge(boxes, scores, np.array([True, False, False, False]))
    assert kept.tolist() == [3, 1]
    # A small object in front of a large one is separate, unless truncated by its view.
    kept = merge(boxes[:2], scores[:2], np.array([False, False]))
    assert kept.tolist() == [0, 1]


def test_merge_of_no_boxes_is_empty():
    assert merge(np.zeros((0, 4)), np.zeros(0, np.float32), np.zeros(0, bool)).tolist() == []
    assert from_frame(np.zeros((0, 4))).shape == from_view(np.zeros((0, 4)), 64, 0.0, 0.0, 1.0).shape == (0, 4)


def test_outline_follows_the_edge_of_the_box():
    edge = outline([1.0, 0.4, 0.6, 0.3])
    camera = rotation(torch.tensor(1.0), torch.tensor(0.4)).double().numpy()
    level = np.cos(edge[:, 1])
    rays = np.stack([level * np.cos(edge[:, 0]), level * np.sin(edge[:, 0]), np.sin(edge[:, 1])], 1) @ camera
    across, up = np.abs(np.arctan2(rays[:, 1], rays[:, 0])) / 0.3, np.abs(np.arcsin(rays[:, 2])) / 0.15
    assert np.maximum(across, up) == pytest.approx(np.ones(len(edge)), abs=1e-6)
    assert edge[0] == pytest.approx(edge[-1])
