"""mono_to_3d: which mask is which channel, what masks can do, what losses measure, that it learns by looking."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.check_generator import check_generator
from avssl_downstream.spatialize.generator import mix_down
from avssl_downstream.spatialize.generators.mono_to_3d import MonoTo3D
from avssl_downstream.spatialize.generators.mono_to_3d_losses import losses
from avssl_downstream.spatialize.generators.mono_to_3d_options import MonoTo3DOptions
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch
from torch import Tensor
from torch.utils.data import default_collate

from avssl.config import fill
from avssl.data.clip import Clip
from avssl.spatial.metrics.spectral_error import snr
from avssl.testing import make_clips

RATE = 8000
TINY = {
    "sample_rate": RATE,
    "seconds": 0.5,
    "n_fft": 128,
    "window_length": 128,
    "spectrum_hop": 64,
    "hop": 0.25,
    "frames": 2,
    "frame_rate": 4.0,
    "rows": 32,
    "columns": 64,
    "keypoints": 3,
    "width": 4,
    "visual_width": 8,
    "depth": 4,
}


def make(**options: Any) -> MonoTo3D:
    torch.manual_seed(0)
    return MonoTo3D(fill(MonoTo3DOptions, {**TINY, **options}), partial(VisualBranch, "scratch"))


def scene(azimuth_sign: int, seed: int = 0) -> Clip:
    """Noise from the left (1) or the right (-1), and a disc there."""
    rng = np.random.default_rng(seed)
    mono = torch.from_numpy(0.1 * rng.standard_normal(round(0.5 * RATE))).float()
    audio = torch.stack([mono, 0.5 * azimuth_sign * mono, 0 * mono, 0 * mono])
    rows, columns = np.mgrid[0:32, 0:64]
    disc = np.hypot(rows - 16, columns - (16 if azimuth_sign > 0 else 48)) < 8
    frames = torch.from_numpy((255 * disc).astype(np.uint8)).expand(2, 3, -1, -1)
    return Clip(frames, audio, RATE, f"{azimuth_sign} {seed}")


def batch_of(generator: MonoTo3D, clips: list[Clip]) -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    batch: dict[str, Tensor] = default_collate([generator.views(each, rng) for each in clips])
    return batch


@pytest.mark.parametrize("options", [{}, {"keypoints": 0}, {"spatial_loss": "energy"}])
def test_the_contract_is_kept_and_w_to_the_bit(options):
    generator = make(**options)
    clips = make_clips(2, 0, generator.seconds, generator.frames, RATE)
    check_generator(generator, clips)
    mono = mix_down(torch.stack([clip.audio for clip in clips]))
    frames = torch.randint(256, (2, 2, 3, 32, 64)).byte()
    assert torch.equal(generator.eval().spatialize(mono, frames)[:, 0], mono)


def test_the_paper_masks_401_columns_of_four_seconds_and_sees_eight_frames():
    options = MonoTo3DOptions()
    assert (options.spectrum.bins, options.spectrum.frames(64000)) == (257, 401)
    assert options.frames / options.frame_rate == options.seconds == 4


@pytest.mark.parametrize(("mask", "channel"), [(0, 3), (1, 1), (2, 2)])
def test_the_networks_x_y_z_are_those_of_ambix(mask, channel):
    generator = make().eval()
    torch.nn.init.zeros_(generator.net.last.weight)
    generator.net.last.bias.data = torch.zeros(6).index_fill(0, torch.tensor([2 * mask]), 1.0)
    mono = 0.1 * torch.randn(1, generator.samples, generator=torch.Generator().manual_seed(0))
    made = generator.spatialize(mono, torch.zeros(1, 2, 3, 32, 64, dtype=torch.uint8))
    for place in (1, 2, 3):
        torch.testing.assert_close(made[:, place], mono * (place == channel), atol=1e-5, rtol=0)


def test_true_masks_give_back_any_field():
    generator = make()
    spectrum = torch.fft.rfft(torch.randn(4, generator.samples, generator=torch.Generator().manual_seed(0)))
    spectrum[:, spectrum.shape[-1] * 7 // 8 :] = 0
    field = torch.fft.irfft(spectrum)[None]
    assert snr(generator.ideal_mask_output(field), field).item() > 60


def test_losses_of_a_scaled_truth_are_known():
    wanted = torch.randn(2, 3, 65, 40, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    terms = losses(0.5 * wanted, wanted, wanted.sum(1))
    assert math.isclose(terms["convergence"], 3 * 0.5, rel_tol=1e-4)
    assert math.isclose(terms["spatial"], 3 * 2 * 0.5, rel_tol=1e-4)
    assert math.isclose(terms["logarithm"], 3 * math.log(2), rel_tol=1e-2)
    share = wanted.abs().square().sum((1, 2, 3)) / wanted.sum(1).abs().square().sum((1, 2))
    energy = losses(0.5 * wanted, wanted, wanted.sum(1), "energy")["spatial"]
    assert math.isclose(energy, 0.25 * share.mean(), rel_tol=1e-4)


def test_bars_around_real_and_imaginary_parts_cannot_tell_left_from_right():
    wanted = torch.randn(2, 3, 65, 40, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    barred, signed = (losses(-wanted, wanted, wanted.sum(1), each) for each in ("barred", "signed"))
    assert sum(barred.values()) < 1e-5
    assert math.isclose(signed["spatial"], 3 * 2 * 2, rel_tol=1e-4)


@pytest.mark.parametrize("kind", ["barred", "signed"])
def test_losses_as_printed_are_ratios_of_norms_of_each_channel(kind):
    generator = torch.Generator().manual_seed(0)
    wanted, found = torch.randn(2, 2, 3, 65, 40, dtype=torch.complex64, generator=generator)
    wanted[:, 1] *= 1e-3  # a channel far below the mix counts as much as the others
    terms = losses(found, wanted, wanted.sum(1), kind, min_norm=0.0)
    own, true = found.numpy(), wanted.numpy()

    def ratio(one, other):
        return sum(np.linalg.norm(one[:, c] - other[:, c], axis=(1, 2)) / np.linalg.norm(other[:, c], axis=(1, 2))
                   for c in range(3)).mean()  # fmt: skip

    parts = [(own.real, true.real), (own.imag, true.imag)]
    spatial = sum(ratio(*(map(np.abs, each) if kind == "barred" else each)) for each in parts)
    assert math.isclose(terms["convergence"], ratio(np.abs(own), np.abs(true)), rel_tol=1e-3)
    assert math.isclose(terms["spatial"], spatial, rel_tol=1e-3)
    logarithms = np.abs(np.log(np.abs(own).clip(1e-3)) - np.log(np.abs(true).clip(1e-3)))
    assert math.isclose(terms["logarithm"], logarithms.mean((2, 3)).sum(1).mean(), rel_tol=1e-4)


def test_silence_costs_nothing_and_breaks_nothing():
    generator = make()
    frames = torch.zeros(2, 2, 3, 32, 64, dtype=torch.uint8)
    out = generator({"audio": torch.zeros(2, 4, generator.samples), "frames": frames})
    assert out["loss"].item() == 0
    out["loss"].backward()
    assert all(bool(each.grad.isfinite().all()) for each in generator.parameters() if each.grad is not None)


@pytest.mark.heavy
def test_it_learns_by_looking_on_which_side_the_audio_is():
    generator = make(magnitude_weight=0.001, spatial_loss="energy")
    optimizer = torch.optim.Adam(generator.parameters(), 3e-3)
    for step in range(60):
        out = generator(batch_of(generator, [scene(sign, 10 * step + each) for each in range(4) for sign in (1, -1)]))
        out["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    left, right = scene(1, seed=9999), scene(-1, seed=9999)
    mono = left.audio[:1]
    generator.eval()
    with torch.no_grad():
        sides = [float((generator.spatialize(mono, each.frames[None])[0, 1] * mono).mean()) for each in (left, right)]
    power = float(mono.square().mean())
    assert sides[0] > 0.3 * power
    assert sides[1] < -0.3 * power


def test_sizes_that_cannot_be_are_refused():
    for options, message in (
        ({"hop": 0.4}, "hop"),
        ({"depth": 9}, "halvings"),
        ({"frames": 0}, "frames"),
        ({"spatial_loss": "sign"}, "signed"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**options)
