"""Colour and level jitter against torchvision and what they must leave alone."""

import numpy as np
import torch
from torchvision.transforms.v2 import functional

from avssl.data.augment import GREY, jitter_colour, jitter_level
from avssl.data.clip_options import Colour


def frames(seed: int = 0) -> torch.Tensor:
    return torch.randint(60, 190, (3, 2, 3, 5, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def first_draws(count: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (4, count))


def test_brightness_contrast_and_saturation_agree_with_torchvision() -> None:
    before = frames()
    draws = first_draws()
    for index, name in enumerate(("brightness", "contrast", "saturation")):
        strength = Colour(**{**dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0), name: 0.4})
        after = jitter_colour(before, strength, np.random.default_rng(0))
        for crop in range(3):
            change = getattr(functional, f"adjust_{name}")
            sheet = before[crop].movedim(1, 0).flatten(1, 2)  # one mean over time, as a clip has one contrast
            expected = change(sheet, 1 + 0.4 * draws[index, crop])
            difference = after[crop].movedim(1, 0).flatten(1, 2).int() - expected.int()
            assert difference.abs().max() <= 2, name


def test_hue_keeps_luma_and_greys() -> None:
    strength = Colour(0, 0, 0, 0.5)
    before = frames()
    after = jitter_colour(before, strength, np.random.default_rng(0))
    assert not torch.equal(before, after)
    kept = (after > 0) & (after < 255)
    unclipped = kept.all(2)
    luma = [(each.float().movedim(2, -1) @ torch.tensor(GREY).float())[unclipped] for each in (before, after)]
    torch.testing.assert_close(*luma, atol=1.0, rtol=0)
    grey = torch.full((2, 1, 3, 2, 2), 128, dtype=torch.uint8)
    assert torch.equal(jitter_colour(grey, strength, np.random.default_rng(1)), grey)


def test_no_strength_changes_nothing_and_each_crop_has_its_own_draw() -> None:
    assert torch.equal(jitter_colour(frames(), Colour(0, 0, 0, 0), np.random.default_rng(0)), frames())
    same = frames()[:1].expand(3, -1, -1, -1, -1)
    changed = jitter_colour(same, Colour(), np.random.default_rng(0))
    assert not torch.equal(changed[0], changed[1])
    still = same[:, :1].expand(-1, 2, -1, -1, -1)
    changed = jitter_colour(still, Colour(), np.random.default_rng(0))
    assert torch.equal(changed[:, 0], changed[:, 1])


def test_level_scales_all_channels_alike_and_leaves_the_clip_alone() -> None:
    audio = torch.rand(4, 100) - 0.5
    kept = audio.clone()
    changed = jitter_level(audio, 0.1, np.random.default_rng(0))
    gains = changed / audio
    assert torch.equal(audio, kept)
    assert gains.min() >= 0.9
    assert gains.max() <= 1.1
    assert float(gains.max() - gains.min()) < 1e-5
    assert jitter_level(torch.full((4, 10), 0.99), 0.1, np.random.default_rng(3)).abs().max() <= 1
