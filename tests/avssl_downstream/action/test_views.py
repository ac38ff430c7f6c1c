"""Parts of pictures as torchvision draws them, and clips that stay clips."""

import numpy as np
import pytest
import torch
from avssl_downstream.action.augment_views import draw_box, view
from avssl_downstream.action.options import ActionOptions
from torchvision.transforms import RandomResizedCrop


@pytest.mark.parametrize(("rows", "columns"), [(240, 320), (60, 400)])
def test_parts_are_as_large_and_as_wide_as_torchvisions(rows: int, columns: int) -> None:
    rng, count = np.random.default_rng(0), 4000
    ours = np.array([draw_box(rows, columns, 0.08, rng) for _ in range(count)], float)
    torch.manual_seed(0)
    image = torch.empty(3, rows, columns)
    theirs = np.array([RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(count)], float)
    for measure in (lambda box: box[:, 2] * box[:, 3], lambda box: box[:, 3] / box[:, 2], lambda box: box[:, 0]):
        mine, other = measure(ours), measure(theirs)
        error = np.hypot(mine.std(), other.std()) / np.sqrt(count)
        assert abs(mine.mean() - other.mean()) < 4 * error + 1e-9
        assert mine.std() == pytest.approx(other.std(), rel=0.08)
    assert (ours[:, 0] + ours[:, 2]).max() <= rows
    assert (ours[:, 1] + ours[:, 3]).max() <= columns


def test_all_frames_of_a_clip_are_changed_alike() -> None:
    frame = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (3, 48, 64), dtype=np.uint8))
    options = ActionOptions(size=24, resize=24)
    seen = view(frame.expand(5, 3, 48, 64), options, np.random.default_rng(1))
    assert bool((seen == seen[0]).all())
    assert seen.shape == (5, 3, 24, 24)
    assert not torch.equal(seen, view(frame.expand(5, 3, 48, 64), options, np.random.default_rng(2)))


def test_so_many_clips_are_mirrored() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).expand(1, 3, 48, 64)
    options = ActionOptions(size=24, resize=24, flip=0.3)
    rng = np.random.default_rng(0)
    mirrored = [bool(seen[0, 0, 0, 0] > seen[0, 0, 0, -1]) for seen in (view(ramp, options, rng) for _ in range(400))]
    assert abs(np.mean(mirrored) - 0.3) < 0.08
