"""asn: views, ideal masks, the order that the discriminator calls true, learning from frames."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.check_generator import check_generator
from avssl_downstream.spatialize.generator import mix_down
from avssl_downstream.spatialize.generators.asn import Asn
from avssl_downstream.spatialize.generators.asn_options import AsnOptions
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch
from avssl_downstream.spatialize.options import SpatializeOptions
from torch import Tensor, nn
from torch.nn import functional

from avssl.config import fill
from avssl.data.clip import Clip
from avssl.recipe_files import read_recipe, shipped_recipes
from avssl.spatial.metrics.spectral_error import snr

RATE = 16000
TINY = {
    "network": "small",
    "batch_norm": True,
    "sample_rate": RATE,
    "spectrum": {"n_fft": 512, "window_length": 400, "hop": 200},
    "bands": 32,
    "compression": 0.3,
    "weight_by_magnitude": True,
    "seconds": 0.4,
    "hop": 0.2,
    "frames": 2,
    "rows": 32,
    "columns": 64,
    "grid_rows": 1,
    "grid_columns": 4,
}
DISC = 255 * (np.hypot(*(np.mgrid[0:32, 0:64] - np.array([16, 12])[:, None, None])) < 8).astype(np.uint8)


def make(**options: Any) -> Asn:
    torch.manual_seed(0)
    return Asn(fill(AsnOptions, {**TINY, **options}), partial(VisualBranch, "scratch"))


def scene(seed: int = 0, left: bool = True, moves: int = 0) -> Clip:
    """Noise in one ear, faintly in the other; a disc on that side, which moves to the right."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(round(0.4 * RATE)).astype(np.float32) * 0.1
    audio = np.stack([noise, 0.1 * noise])
    images = [np.roll(DISC[:, :: 1 if left else -1], moves * number, 1) for number in range(2)]
    frames = torch.from_numpy(np.stack([np.repeat(each[None], 3, 0) for each in images]))
    return Clip(frames, torch.from_numpy(audio if left else audio[::-1].copy()), RATE, f"clip {seed}")


def batch_of(generator: Asn, clips: list[Clip]) -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    views = [generator.views(each, rng) for each in clips]
    return {name: torch.stack([each[name] for each in views]) for name in views[0]}


def still(generator: Asn, *values: float) -> Asn:
    """A network whose output is these planes, for any input."""
    last = generator.network.decoder.convolutions[0]
    assert isinstance(last.weight, nn.Parameter)
    assert isinstance(last.bias, nn.Parameter)
    nn.init.zeros_(last.weight)
    last.bias.data.copy_(torch.tensor(values).logit())
    return generator


def noise(channels: int = 2, seed: int = 0) -> Tensor:
    """Independent noise below 7 kHz, `(channels, 6400)`."""
    spectrum = torch.fft.rfft(torch.randn(channels, 6400, generator=torch.Generator().manual_seed(seed)))
    spectrum[:, 2800:] = 0
    audio: Tensor = 0.1 * torch.fft.irfft(spectrum)
    return audio


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"target_mask": "complex", "colour": 0.3},
        {"target_mask": "amplitude_over_mix", "weight_by_magnitude": False, "compression": 1.0},
        {"flow": "", "classifier": 0.0, "batch_norm": False},
    ],
)
def test_contract(options: dict[str, Any]) -> None:
    check_generator(make(**options), [scene(0), scene(1, left=False)])


def recipe(name: str) -> tuple[SpatializeOptions, AsnOptions]:
    options = fill(SpatializeOptions, read_recipe(f"spatialize/{name}", SpatializeOptions))
    return options, fill(AsnOptions, options.generator_options)


@pytest.mark.parametrize(
    ("name", "base", "named"),
    [
        ("asn-small-no-classifier", "asn-small", {"classifier": 0.0}),
        ("asn-small-ratio", "asn-small", {"target_mask": "sqrt_power"}),
        ("asn-small-published-no-classifier", "asn-small-published", {"classifier": 0.0}),
        ("asn-full-no-classifier", "asn-full", {"classifier": 0.0}),
    ],
)
def test_recipes_differ_from_their_base_only_in_the_settings_they_are_named_for(
    name: str, base: str, named: dict[str, Any]
) -> None:
    (options, own), (other, theirs) = recipe(name), recipe(base)
    assert {key: value for key, value in vars(own).items() if value != getattr(theirs, key)} == named
    assert (options.optim, options.train, options.batch) == (other.optim, other.train, other.batch)


def test_the_published_form_is_the_full_one_at_another_size() -> None:
    (options, own), (_, full) = recipe("asn-small-published"), recipe("asn-full")
    sizes = {
        "network", "sample_rate", "spectrum", "bands", "min_bin", "frames", "rows", "columns", "grid_rows",
        "grid_columns",
    }  # fmt: skip
    assert {key for key, value in vars(own).items() if value != getattr(full, key)} == sizes
    for each in (own, full):  # windows of 40 ms every 10 ms
        spectrum = each.spectrum
        assert (spectrum.window_length / each.sample_rate, spectrum.hop / each.sample_rate) == (0.04, 0.01)
    assert (options.optim.weight_decay, options.optim.decoupled) == (1e-4, False)


def test_only_full_published_forms_have_published_numbers_beside_them() -> None:
    names = [each.removeprefix("spatialize/") for each in shipped_recipes() if each.startswith("spatialize/asn-")]
    assert {name for name in names if recipe(name)[0].published} == {
        "asn-full", "asn-full-no-classifier",
    }  # fmt: skip


def test_the_full_recipe_has_the_papers_numbers() -> None:
    options, own = recipe("asn-full")
    assert (own.target_mask, own.classifier, own.weight_by_magnitude, own.compression, own.seconds) == (
        "sqrt_power",
        0.1,
        False,
        1.0,
        1.0,
    )
    assert (own.spectrum.n_fft, own.spectrum.window_length, own.spectrum.hop, own.bands) == (2048, 1764, 441, 1025)
    assert (options.optim.lr, options.optim.weight_decay, options.batch) == (5e-5, 1e-4, 44)
    assert round(own.sample_rate / 44) == 1002


def test_views_depend_on_their_random_generator_only() -> None:
    generator, clip = make(colour=0.3), scene()
    first, again, other = (generator.views(clip, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["frames"], other["frames"])
    assert {name: tuple(each.shape) for name, each in first.items()} == {
        "audio": (2, 6400),
        "frames": (2, 3, 32, 64),
        "flow": (2, 3, 32, 64),
    }


def test_a_mirrored_view_is_the_view_of_the_mirrored_scene() -> None:
    clip = scene(moves=3)
    other = Clip(clip.frames.flip(-1), clip.audio.flip(0), RATE, clip.key)
    mirrored = make(mirror=1.0).views(clip, np.random.default_rng(0))
    plain = make(mirror=0.0).views(other, np.random.default_rng(0))
    assert all(torch.equal(mirrored[name], plain[name]) for name in plain)


def test_flow_turns_round_with_the_image() -> None:
    """A disc that goes to the right goes to the left in the mirror; red of a painted flow is above 128 to the right."""
    clip = scene(moves=3)
    right, left = (make(mirror=each).views(clip, np.random.default_rng(0))["flow"][0, 0].float() for each in (0, 1))
    assert float(right[DISC > 0].mean()) > 140
    assert float(left[DISC[:, ::-1].copy() > 0].mean()) < 116


def test_what_is_applied_sees_what_was_trained_with() -> None:
    generator = make(mirror=0.0).eval()
    batch = batch_of(generator, [scene(0, moves=2), scene(1, left=False)])
    streams = [generator.visual_branch[name](batch[key]) for name, key in (("rgb", "frames"), ("flow", "flow"))]
    with torch.no_grad():
        torch.testing.assert_close(generator.encode_video(batch["frames"]), generator.network.embed_frames(streams))


def test_true_complex_masks_give_the_ears_back() -> None:
    truth = noise()
    assert float(snr(make(target_mask="complex").ideal_mask_output(truth), truth)) > 60


@pytest.mark.parametrize(("target_mask", "louder"), [("sqrt_power", math.sqrt(2)), ("amplitude_over_mix", 1.0)])
def test_power_ratios_of_equal_channels_are_three_decibels_too_loud(target_mask: str, louder: float) -> None:
    truth = noise(1).expand(2, -1)
    torch.testing.assert_close(
        make(target_mask=target_mask).ideal_mask_output(truth), louder * truth, atol=1e-5, rtol=1e-3
    )


def test_power_ratios_are_exact_where_one_channel_is_silent() -> None:
    truth = torch.cat([noise(1), torch.zeros(1, 6400)])
    for target_mask in ("sqrt_power", "amplitude_over_mix"):
        torch.testing.assert_close(make(target_mask=target_mask).ideal_mask_output(truth), truth, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(("target_mask", "planes"), [("sqrt_power", (0.3, 0.6)), ("complex", (0.65, 0.5, 0.8, 0.5))])
def test_constant_masks_are_gains_of_the_mix_at_any_level(target_mask: str, planes: tuple[float, ...]) -> None:
    generator = still(make(target_mask=target_mask), *planes).eval()
    features, mono = generator.encode_video(torch.zeros(1, 2, 3, 32, 64, dtype=torch.uint8)), noise(1)
    for level in (1.0, 1e-3):
        made = generator.generate(level * mono, features)[0]
        expected = level * torch.stack([0.3 * 2 * mono[0], 0.6 * 2 * mono[0]])
        torch.testing.assert_close(made, expected, atol=2e-5 * level, rtol=1e-3)


def test_complex_masks_start_near_mono_in_both_channels() -> None:
    generator, mono = make(target_mask="complex").eval(), noise(1)
    nn.init.zeros_(generator.network.decoder.convolutions[0].weight)  # type: ignore[arg-type]
    made = generator.generate(mono, generator.encode_video(torch.zeros(1, 2, 3, 32, 64, dtype=torch.uint8)))[0]
    torch.testing.assert_close(made, mono.expand(2, -1), atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("weight_by_magnitude", [True, False])
def test_half_masks_have_error_one_where_one_channel_is_silent(weight_by_magnitude: bool) -> None:
    """Ideal masks are 1 and 0; masks of a half are off by a half in each channel, and give mono in both."""
    generator = still(make(classifier=0.0, weight_by_magnitude=weight_by_magnitude, mirror=0.0), 0.5, 0.5)
    clip = Clip(scene().frames, torch.cat([noise(1), torch.zeros(1, 6400)]), RATE, "left")
    found = {name: each.detach() for name, each in generator(batch_of(generator, [clip])).items()}
    assert set(found) == {"loss", "masks", "of_mono"}
    assert float(found["loss"]) == float(found["masks"]) == pytest.approx(1.0, abs=1e-4)
    assert float(found["of_mono"]) == pytest.approx(1.0, abs=1e-4)


class Louder(nn.Module):
    """A discriminator to which the louder channel is the left one."""

    def forward(self, features: Tensor, left: Tensor, right: Tensor) -> Tensor:
        return 100 * (left - right).mean((1, 2))


@pytest.mark.parametrize(("left", "right_said"), [(True, 1.0), (False, 0.5)])
def test_the_order_that_is_called_true_is_left_then_right(left: bool, right_said: float) -> None:
    """Of real and made spectra; the made ones are always louder on the left."""
    generator = still(make(classifier=0.25, mirror=0.0), 0.9, 0.2)
    generator.discriminator = Louder()  # type: ignore[assignment]
    with torch.no_grad():
        found = generator(batch_of(generator, [scene(seed, left) for seed in range(3)]))
    assert float(found["order_acc"]) == right_said
    assert float(found["loss"]) == pytest.approx(float(found["masks"] + 0.25 * found["order"]), rel=1e-5)
    assert (float(found["order"]) < math.log(2)) == left


def test_the_classifier_trains_masks_and_frames() -> None:
    generator = make(mirror=0.0)
    generator(batch_of(generator, [scene(0), scene(1, left=False)]))["order"].backward()
    for part in (generator.network.encoder, generator.network.decoder, generator.visual_branch["rgb"]):
        assert any(each.grad is not None and bool(each.grad.abs().sum() > 0) for each in part.parameters())


@pytest.mark.heavy
def test_it_learns_from_the_image_which_ear_to_give_the_audio() -> None:
    generator = make(target_mask="complex", flow="")
    clips = [scene(seed, left=seed % 2 == 0) for seed in range(8)]
    optimiser = torch.optim.Adam(generator.parameters(), 3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        generator(batch_of(generator, clips))["loss"].backward()
        optimiser.step()
    generator.eval()
    truth = torch.stack([each.audio for each in clips])
    frames = torch.stack([each.frames for each in clips])
    with torch.no_grad():
        made, flipped = (generator.spatialize(mix_down(truth), each) for each in (frames, frames.flip(-1)))
    wrong = functional.mse_loss(mix_down(truth)[:, None].expand_as(truth), truth)
    assert functional.mse_loss(made, truth) < 0.3 * wrong
    assert functional.mse_loss(flipped.flip(1), truth) < 0.3 * wrong


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"target_mask": "sqrt"}, r"asn\.target_mask is sqrt_power, amplitude_over_mix, complex, not 'sqrt'"),
        ({"flow": "diss"}, r"asn\.flow is dis, raft_small, raft_large, not 'diss' \(did you mean 'dis'\?\)"),
        ({"flow": "raft_small"}, r"weights for optical flow by raft_small, got none"),
        ({"hop": 0.3}, r"expected asn\.hop above 0 and up to 0\.2 s, half of a window, got 0\.3"),
        ({"mirror": 1.5}, r"asn\.mirror is from 0 to 1, not 1\.5"),
        ({"frames": 0}, r"expected asn\.frames of at least 1, got 0"),
        ({"bands": 1}, "at least 2 bands"),
    ],
)
def test_invalid_options_are_refused_in_one_line(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        make(**options)
    assert "\n" not in str(caught.value)


def test_audio_that_is_not_for_two_ears_is_refused_with_its_clip() -> None:
    clip = Clip(scene().frames, torch.zeros(4, 6400), RATE, "field")
    with pytest.raises(ValueError, match="field: expected binaural audio, 2 channels, got 4"):
        make().views(clip, np.random.default_rng(0))
