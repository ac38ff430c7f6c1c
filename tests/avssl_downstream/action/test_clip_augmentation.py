"""Random crops against torchvision, and augmentation that is the same for all frames of a clip."""

import numpy as np
import pytest
import torch
from avssl_downstream.action.clip_augmentation import augment_clip, sample_crop_box
from avssl_downstream.action.options import ActionOptions
from torchvision.transforms import RandomResizedCrop


@pytest.mark.parametrize(("rows", "columns"), [(240, 320), (60, 400)])
def test_crop_area_and_aspect_match_torchvision(rows: int, columns: int) -> None:
    rng, count = np.random.default_rng(0), 4000
    ours = np.array([sample_crop_box(rows, columns, 0.08, rng) for _ in range(count)], float)
    torch.manual_seed(0)
    image = torch.empty(3, rows, columns)
    theirs = np.array([RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(count)], float)
    for statistic in (lambda box: box[:, 2] * box[:, 3], lambda box: box[:, 3] / box[:, 2], lambda box: box[:, 0]):
        mine, other = statistic(ours), statistic(theirs)
        error = np.hypot(mine.std(), other.std()) / np.sqrt(count)
        assert abs(mine.mean() - other.mean()) < 4 * error + 1e-9
        assert mine.std() == pytest.approx(other.std(), rel=0.08)
    assert (ours[:, 0] + ours[:, 2]).max() <= rows
    assert (ours[:, 1] + ours[:, 3]).max() <= columns


def test_augmentation_is_the_same_for_all_frames() -> None:
    frame = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (3, 48, 64), dtype=np.uint8))
    options = ActionOptions(size=24, resize=24)
    clip = augment_clip(frame.expand(5, 3, 48, 64), options, np.random.default_rng(1))
    assert bool((clip == clip[0]).all())
    assert clip.shape == (5, 3, 24, 24)
    assert not torch.equal(clip, augment_clip(frame.expand(5, 3, 48, 64), options, np.random.default_rng(2)))


def test_share_of_mirrored_clips_is_flip() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).expand(1, 3, 48, 64)
    options = ActionOptions(size=24, resize=24, flip=0.3)
    rng = np.random.default_rng(0)
    mirrored = [
        bool(seen[0, 0, 0, 0] > seen[0, 0, 0, -1]) for seen in (augment_clip(ramp, options, rng) for _ in range(400))
    ]
    assert abs(np.mean(mirrored) - 0.3) < 0.08
