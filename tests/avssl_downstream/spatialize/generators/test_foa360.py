"""foa360: sizes, consistent augmentation, ideal masks, silent channels in the loss, learning from frames."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.check_generator import check_generator
from avssl_downstream.spatialize.generator import mix_down
from avssl_downstream.spatialize.generators import foa360
from avssl_downstream.spatialize.generators.foa360 import Foa360
from avssl_downstream.spatialize.generators.foa360_options import STREAMS, Foa360Options
from avssl_downstream.spatialize.networks.foa360 import mix_tracks
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import default_collate

from avssl.config import fill
from avssl.data.clip import Clip
from avssl.spatial.ambisonics import encode, gains, intensity_direction
from avssl.spatial.energy_map import equirectangular_grid
from avssl.spatial.metrics.spectral_error import snr
from avssl.testing import make_clips

RATE = 16000
TINY = {
    "network": "pointing",
    "sample_rate": RATE,
    "n_fft": 512,
    "hop": 256,
    "stft_frames": 32,
    "output_seconds": 0.4,
    "bands": 32,
    "tracks": 3,
    "units": 16,
    "rows": 32,
    "columns": 64,
    "wrap_padding": 8,
}
PUBLISHED = {"network": "published", "n_fft": 1024, "stft_frames": 100, "tracks": 2, "units": 8, "wrap_padding": 0}


POINTING = {
    "gate": True,
    "solid_angle": True,
    "centred_cells": True,
    "pulse_frames": 4,
    "direction_weight": 1.0,
    "direction_steps": 20,
}
"""All parts of the network pointing."""


def make(**options: Any) -> Foa360:
    torch.manual_seed(0)
    return Foa360(fill(Foa360Options, {**TINY, **options}), partial(VisualBranch, "scratch"))


def windows(generator: Foa360, count: int = 2, seed: int = 0) -> list[Clip]:
    return make_clips(count, seed, generator.samples / RATE, generator.frames, RATE)


def batch_of(generator: Foa360, clips: list[Clip], seed: int = 0) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    batch: dict[str, Tensor] = default_collate([generator.views(each, rng) for each in clips])
    return batch


def noise(channels: int, samples: int) -> Tensor:
    """Independent noise of 200 to 7000 Hz, `(channels, samples)`."""
    spectrum = torch.fft.rfft(torch.randn(channels, samples, generator=torch.Generator().manual_seed(0)))
    hertz = torch.fft.rfftfreq(samples, 1 / RATE)
    return 0.1 * torch.fft.irfft(spectrum * ((hertz > 200) & (hertz < 7000)), samples)


@pytest.mark.parametrize("variant", STREAMS)
def test_every_variant_keeps_the_contract_and_w_to_the_bit(variant):
    generator = make(variant=variant, mirror=True, colour=0.3)
    clips = windows(generator)
    check_generator(generator, clips)
    mono = mix_down(torch.stack([clip.audio for clip in clips]))
    made = generator.eval().generate(
        mono, generator.encode_video(torch.randint(256, (2, generator.frames, 3, 32, 64)).byte())
    )
    assert torch.equal(made[:, 0], mono)


@pytest.mark.parametrize("variant", STREAMS)
def test_every_variant_keeps_the_contract_with_all_parts(variant):
    generator = make(variant=variant, mirror=True, **POINTING)
    assert generator.frames == {"full": 4, "no_flow": 4, "no_separation": 4, "no_video": 1}.get(variant, 2)
    check_generator(generator, windows(generator))


def test_without_frames_there_is_nothing_to_compare_with_the_audio():
    generator = Foa360(fill(Foa360Options, {**TINY, **POINTING}), partial(VisualBranch, "none"))
    assert (generator.pulses, generator.frames) == (0, 2)
    check_generator(generator, windows(generator))


def test_the_loss_of_directions_is_added_and_ends():
    generator = make(variant="no_flow", direction_weight=1.0, direction_steps=1)
    batch = batch_of(generator, windows(generator))
    generator.eval()
    more = generator(batch)["loss"].item()
    spectra = replace(generator.options, direction_weight=0.0)
    plain = Foa360(spectra, partial(VisualBranch, "scratch")).eval()
    plain.load_state_dict({name: each for name, each in generator.state_dict().items() if "direction" not in name})
    less = plain(batch)["loss"].item()
    assert abs(more - less) > 1e-4
    generator.direction_loss.taken += 1
    assert generator(batch)["loss"].item() == less


@pytest.mark.parametrize("centred", [True, False])
def test_a_centred_cell_sees_as_far_to_both_sides(centred):
    generator = make(variant="no_flow", centred_cells=centred, wrap_padding=32, columns=128).eval()
    images = torch.randint(256, (1, 1, 3, 32, 128)).float().requires_grad_()
    maps = generator._feature_maps(images)
    column = maps.shape[-1] // 2
    (gradient,) = torch.autograd.grad(maps[0, :, 1, column].sum(), images)
    touched = gradient[0, 0].abs().sum((0, 1)).nonzero().flatten().float()
    size = 128 / maps.shape[-1]
    offset = (touched[0] + touched[-1]) / 2 + 0.5 - (column + 0.5) * size
    assert abs(offset) <= 0.5 if centred else offset < -0.3 * size


@pytest.mark.parametrize("variant", ["full", "unet"])
@pytest.mark.heavy
def test_the_published_form_keeps_the_contract(variant):
    generator = make(variant=variant, **PUBLISHED)
    check_generator(generator, windows(generator))
    assert generator.model.net.trunk.encoder.sizes[0] == (1024, 100)


@pytest.mark.parametrize("training", [False, True])
def test_the_output_of_the_published_form_is_that_of_whole_tracks(training):
    generator = make(**PUBLISHED).train(training)
    audio, features = 0.1 * torch.randn(2, 1, generator.samples), torch.rand(2, sum(generator.planes), 4, 8)
    model, sizes = generator.model, generator.options.sizes
    maps = torch.split(features, generator.planes, 1)
    found = model(audio, maps)
    spectrum = sizes.stft.stft(audio)
    localized = model.net(model.magnitude(spectrum), maps)
    tracks = sizes.stft.istft(model.rows(localized.masks) * spectrum, generator.samples)
    wanted = mix_tracks(localized.weights, localized.bias, sizes.middle(tracks), smooth=True)
    torch.testing.assert_close(sizes.middle(found), wanted, rtol=0, atol=1e-6)
    assert wanted.abs().mean() > 1e-4
    assert not found[..., : sizes.margin].any()


@pytest.mark.parametrize("options", [{}, {"variant": "no_separation"}, {"variant": "unet"}, POINTING, PUBLISHED])
def test_half_precision_gives_the_same_audio(options):
    generator = make(**options).eval()
    clips = windows(generator)
    mono, frames = torch.stack([clip.audio[0] for clip in clips]), torch.stack([clip.frames for clip in clips])
    with torch.no_grad():
        whole = generator.spatialize(mono, frames)
        with torch.autocast("cpu", torch.bfloat16):
            half = generator.spatialize(mono, frames)
            loss = generator(batch_of(generator, clips))["loss"]
    assert snr(half, whole).min() > 30
    assert loss.dtype == torch.float32


def test_the_paper_gives_a_tenth_of_a_second_of_127_spectra_at_48_khz():
    sizes = Foa360Options().sizes
    assert (sizes.samples, sizes.samples - 2 * sizes.margin) == (126 * 256 + 1024, 4800)
    assert (sizes.loss.n_fft, sizes.loss.hop) == (2048, 1024)
    assert sizes.middle(torch.zeros(sizes.samples)).shape == (4800,)


def test_columns_in_the_middle_hear_nothing_of_the_margins():
    sizes = make().options.sizes
    outside = torch.ones(sizes.samples)
    outside[sizes.margin : sizes.samples - sizes.margin] = 0
    touched = sizes.stft.stft(outside).abs().sum(0) > 1e-3
    inside = sizes.middle_columns((~touched)[None])
    assert bool(inside.all())
    assert inside.shape[-1] == int((~touched).sum())


def test_image_and_audio_are_turned_and_mirrored_alike():
    generator = make(variant="no_flow", mirror=True)
    for seed in range(8):
        clip = make_clips(1, seed, generator.samples / RATE, 1, RATE)[0]
        views = generator.views(clip, np.random.default_rng(seed))
        bright = views["images"][0].float().sum(0).clamp(min=180) - 180
        columns = (1 - 2 * (torch.arange(64) + 0.5) / 64) * math.pi
        visible = torch.atan2((bright.sum(0) * columns.sin()).sum(), (bright.sum(0) * columns.cos()).sum())
        audible = intensity_direction(views["audio"], RATE)[0]
        assert abs(math.remainder(float(visible - audible), 2 * math.pi)) < math.radians(8)


def test_a_disc_that_moves_right_is_painted_red_and_stillness_grey():
    generator = make(variant="no_rgb", yaw=False)
    texture = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 32, 64), dtype=np.uint8))
    texture = functional.avg_pool2d(texture.float(), 5, 1, 2).to(torch.uint8)
    audio = torch.zeros(4, generator.samples)
    moving = generator.views(Clip(torch.stack([texture, texture.roll(2, -1)]), audio, RATE, "moves"), None)
    still = generator.views(Clip(texture.expand(2, -1, -1, -1), audio, RATE, "rests"), None)
    assert float(moving["images"][0, 0].float().median()) > 135
    assert torch.equal(
        still["images"][0], torch.tensor([128, 128, 0], dtype=torch.uint8)[:, None, None].expand(3, 32, 64)
    )


@pytest.mark.parametrize("variant", [name for name, streams in STREAMS.items() if "flow" not in streams])
def test_variants_without_flow_neither_build_nor_compute_it(variant, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("flow")

    monkeypatch.setattr(foa360, "flow_estimator", refuse)
    monkeypatch.setattr(foa360, "flow_to_rgb", refuse)
    generator = make(variant=variant, flow="raft_small")  # whose weights are not there
    assert generator.frames == 1
    generator.encode_video(torch.zeros(1, 1, 3, 32, 64, dtype=torch.uint8))
    generator.views(windows(generator)[0], np.random.default_rng(0))


def test_true_masks_give_back_a_plane_wave_and_the_unets_any_field():
    generator = make()
    given = slice(generator.options.sizes.margin, -generator.options.sizes.margin)
    wave = encode(noise(1, generator.samples), torch.tensor([2.0]), torch.tensor([-0.4]))
    assert snr(generator.ideal_mask_output(wave)[..., given], wave[..., given]).item() > 60
    field = noise(4, generator.samples)[None]
    assert snr(make(variant="unet").ideal_mask_output(field)[..., given], field[..., given]).item() > 60


def test_a_silent_z_teaches_nothing():
    generator = make().eval()
    clips = windows(generator)
    silent = [Clip(each.frames, each.audio * torch.tensor([[1], [1], [0], [1]]), RATE, each.key) for each in clips]
    labelled = [Clip(each.frames, each.audio, RATE, each.key, {"silent_channels": "Z"}) for each in clips]
    losses = [generator(batch_of(generator, each))["loss"].item() for each in (clips, silent, labelled)]
    assert math.isclose(losses[1], losses[2], rel_tol=1e-5)
    assert not math.isclose(losses[0], losses[2], rel_tol=1e-3)


def test_windows_below_min_rms_do_not_enter_the_loss():
    generator = make(min_rms=0.05, yaw=False).eval()
    clips = windows(generator)
    level = float(clips[0].audio[0].square().mean().sqrt())
    assert level > 0.05
    faint = replace(clips[1], audio=clips[1].audio * 0.04 / float(clips[1].audio[0].square().mean().sqrt()))
    alone = generator(batch_of(generator, clips[:1]))["loss"].item()
    assert math.isclose(generator(batch_of(generator, [clips[0], faint]))["loss"].item(), alone, rel_tol=1e-4)
    nothing = generator(batch_of(generator, [faint]))
    assert (nothing["loss"].item(), nothing["explained"].item()) == (0, 1)
    nothing["loss"].backward()
    assert not any(bool(each.grad.any()) for each in generator.parameters() if each.grad is not None)


def test_the_loss_is_the_squared_difference_of_spectra_at_the_level_of_the_mix():
    generator = make().eval()
    clips = windows(generator)
    batch = batch_of(generator, clips)
    torch.nn.init.constant_(generator.model.net.localization.absent, 1e6)  # nothing has a direction
    sizes = generator.options.sizes
    quiet = batch["audio"] / (10 * batch["audio"][:, :1].square().mean(-1, keepdim=True).sqrt())
    inside = sizes.middle_columns(sizes.stft.stft(quiet[:, 1:]))
    out = generator(batch)
    assert math.isclose(out["loss"].item(), inside.abs().square().mean() / 2, rel_tol=1e-4)
    assert math.isclose(out["explained"], 0, abs_tol=1e-5)


@pytest.mark.heavy
def test_it_learns_by_looking_where_the_audio_is():
    clips = windows(make(), 6, seed=3)
    explained = {}
    for variant in ("no_flow", "no_video"):
        generator = make(variant=variant)
        optimizer = torch.optim.Adam(generator.parameters(), 3e-3)
        for step in range(40):
            out = generator(batch_of(generator, clips, step))
            out["loss"].backward()
            optimizer.step()
            optimizer.zero_grad()
        explained[variant] = out["explained"].item()
    assert explained["no_flow"] > 0.5
    assert explained["no_video"] < 0.2


def second_order(generator: Foa360, count: int = 2, seed: int = 0) -> list[Clip]:
    """The disc's tone from where it is, as a plane wave of second order."""
    clips = windows(generator, count, seed)
    return [replace(clip, audio=raised(clip.audio)) for clip in clips]


def raised(first: Tensor) -> Tensor:
    """A plane wave of first order as one of second."""
    azimuth, elevation, _ = intensity_direction(first, RATE)
    return encode(first[0], azimuth, elevation, order=2)


@pytest.mark.parametrize("options", [*({"variant": variant} for variant in STREAMS), PUBLISHED])
def test_a_field_becomes_one_of_second_order_and_stays_to_the_bit(options):
    generator = make(order=2, mirror=True, **options)
    assert (generator.output, generator.input_channels, generator.channels) == ("second-order", 4, 9)
    clips = second_order(generator)
    check_generator(generator, clips)
    given = torch.stack([clip.audio[:4] for clip in clips])
    features = generator.encode_video(torch.randint(256, (2, generator.frames, 3, 32, 64)).byte())
    assert torch.equal(generator.eval().generate(given, features)[:, :4], given)


def test_second_order_is_rotated_and_mirrored_with_its_frames():
    generator = make(variant="no_flow", order=2, mirror=True)
    for seed in range(4):
        clip = second_order(generator, 1, seed)[0]
        audio = generator.views(clip, np.random.default_rng(seed))["audio"]
        torch.testing.assert_close(audio, raised(audio[:4]), atol=2e-4, rtol=0)


def test_masks_by_arrival_direction_give_the_second_order_of_a_plane_wave():
    generator = make(variant="no_flow", order=2).eval()
    net = generator.model.net
    given = slice(generator.options.sizes.margin, -generator.options.sizes.margin)
    with torch.no_grad():
        net.localization.scores.weight.zero_()
        net.localization.scores.weight[:, :2] = torch.tensor([[50.0, 0], [0, 50.0], [0, 0]])[..., None, None]
        net.localization.absent.fill_(-20)
        net.separation.decoder.convolutions[0].weight.zero_()
        net.steering.fill_(30)
        rows, columns = generator._map_size()
        maps = torch.zeros(1, net.localization.scores.in_channels, rows, columns)
        maps[0, 0, 1, 2] = maps[0, 1, 2, columns - 3] = 1
        azimuth, elevation = equirectangular_grid(rows, columns)
        waveforms = noise(2, generator.samples)
        for kind, cell in enumerate([(1, 2), (2, columns - 3)]):
            wave = encode(waveforms[kind], azimuth[cell], elevation[cell], order=2)[None]
            made = generator.generate(wave[:, :4], maps)
            assert snr(made[:, 4:, given], wave[:, 4:, given]).item() > 40


def test_true_masks_give_back_the_second_order_of_a_plane_wave():
    generator = make(order=2)
    given = slice(generator.options.sizes.margin, -generator.options.sizes.margin)
    wave = encode(noise(1, generator.samples), torch.tensor([2.0]), torch.tensor([-0.4]), order=2)
    assert snr(generator.ideal_mask_output(wave)[:, 4:, given], wave[:, 4:, given]).item() > 60


def test_direction_of_arrival_of_a_plane_wave_and_of_a_diffuse_field():
    generator = make(order=2)
    sizes, axis = generator.options.sizes, generator.model.axis
    wave = encode(noise(1, generator.samples), torch.tensor([2.0]), torch.tensor([-0.4]))
    arriving = axis.direction_of_arrival(sizes.stft.stft(wave))[0, :, 20]
    torch.testing.assert_close(arriving, gains(2.0, -0.4)[1:, None].expand_as(arriving), atol=1e-4, rtol=0)
    diffuse = noise(4, generator.samples) * torch.tensor([1, 3**-0.5, 3**-0.5, 3**-0.5])[:, None]
    assert axis.direction_of_arrival(sizes.stft.stft(diffuse[None])).mean(-1)[0, :, 20:].abs().max() < 0.3
    assert not axis.direction_of_arrival(torch.zeros(1, 4, sizes.stft.bins, 5, dtype=torch.complex64)).any()


@pytest.mark.heavy
def test_it_learns_the_second_order_from_where_things_are_seen():
    clips = second_order(make(), 6, seed=3)
    generator = make(variant="no_flow", order=2)
    optimizer = torch.optim.Adam(generator.parameters(), 3e-3)
    for step in range(40):
        out = generator(batch_of(generator, clips, step))
        out["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert out["explained"].item() > 0.4


def test_sizes_that_cannot_be_are_refused():
    for options, message in (
        ({"output_seconds": 2.0}, "output_seconds"),
        ({"output_seconds": 0.01}, "output_seconds"),
        ({"variant": "no-video"}, "no_video"),
        ({"wrap_padding": 65}, "wrap_padding"),
        ({"order": 3}, "order 1 or 2"),
        ({"min_rms": -0.1}, "min_rms"),
        ({"wrap_padding": 5}, "8 columns"),
        ({"network": "small"}, "pointing"),
        ({"gate": True, **PUBLISHED}, "expected foa360.network=pointing beside foa360.gate, got network=published"),
        ({"pulse_frames": 2}, "pulse_frames 0 or at least 3"),
        ({"direction_weight": 1.0, "order": 2}, "order 1 beside foa360.direction_weight"),
        ({"direction_steps": 0}, "direction_steps above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**options)
