"""pseudo_binaural: contract, published sizes, closed forms of its loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.check_generator import check_generator
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator
from safetensors.torch import save_file

from avssl.testing import make_clips

SMALL = {"width": 4, "rows": 32, "columns": 64, "grid_rows": 2, "grid_columns": 4}
CLIPS = make_clips(3, seconds=0.63, frames=1, sample_rate=16000, channels=2)


def small(**options):
    return build_generator(SpatializeOptions(generator_options={**SMALL, **options}), None)


def silent():
    """Its masks are 0."""
    generator = small(fusion="none")
    with torch.no_grad():
        generator.audio.audionet_upconvlayer5[0].weight.zero_()
        generator.audio.audionet_upconvlayer5[0].bias.zero_()
    return generator


@pytest.mark.parametrize(
    "options",
    [
        {"fusion": "none"},
        {"fusion": "assoconv", "loss": "l1"},
        {"fusion": "apnet", "separation": 0.4, "norm": "instance"},
        {"fusion": "apnet", "mirror": True, "crop": False, "colour": 0.0},
    ],
)
def test_contract(options):
    check_generator(small(**options).train(), CLIPS)


def test_published_sizes_and_names():
    generator = build_generator(SpatializeOptions(visual_branch="torchvision/resnet18"), None)
    assert sum(each.numel() for each in generator.audio.parameters()) == 23_086_234
    assert sum(each.numel() for each in generator.fusion.parameters()) == 1_766_710
    names = generator.state_dict().keys()
    for name in ("audio.audionet_convlayer1.0.weight", "fusion.lastconv_left.0.bias", "audio.conv1x1.0.weight"):
        assert name in names
    assert "visual_branch.network.feature_extraction.0.weight" in names


def test_published_weights_go_in_by_path(tmp_path):
    donor = small(width=8)
    with torch.no_grad():
        for each in donor.parameters():
            each.add_(0.1)
    save_file(
        {f"module.{name}": each for name, each in donor.audio.state_dict().items()}, tmp_path / "audio.safetensors"
    )
    save_file(donor.fusion.state_dict(), tmp_path / "fusion.safetensors")
    paths = {f"{part}_weights": str(tmp_path / f"{part}.safetensors") for part in ("audio", "fusion")}
    taker = small(width=8, **paths)
    for part in ("audio", "fusion"):
        own, theirs = (getattr(each, part).state_dict() for each in (taker, donor))
        assert all(torch.equal(own[name], theirs[name]) for name in theirs)


def test_true_masks_give_band_limited_audio_back_above_60_db():
    spectrum = torch.fft.rfft(torch.randn(2, 2, 10080, generator=torch.Generator().manual_seed(0)))
    spectrum[..., round(7000 / 8000 * spectrum.shape[-1]) :] = 0
    truth = torch.fft.irfft(spectrum, 10080)
    error = small().ideal_mask_output(truth) - truth
    assert 10 * torch.log10(truth.square().sum() / error.square().sum()) > 60


def test_the_loss_of_zero_masks_is_the_energy_of_the_difference():
    """Masks of 0 leave the difference at 0: 2.5D Visual Sound's loss is then the mean square of the difference."""
    generator = silent()
    audio = torch.stack([clip.audio for clip in CLIPS])
    batch = {"audio": audio, "frames": torch.zeros(3, 1, 3, 32, 64, dtype=torch.uint8)}
    with torch.no_grad():
        out = generator(batch)
    side = audio[:, 0] - audio[:, 1]
    both = 2 * audio.square().mean((1, 2))[:, None].sqrt() / 0.1
    spectrum = torch.stft(side / both, 512, 160, 400, torch.hann_window(400), return_complex=True)[:, :256]
    expected = torch.view_as_real(spectrum).square().mean()
    assert float(out["loss"]) == pytest.approx(float(expected), rel=1e-4)
    assert float(out["of_mono"]) == pytest.approx(1.0, abs=1e-4)
    mono = audio.mean(1)
    made = generator.eval().spatialize(mono, batch["frames"])
    torch.testing.assert_close(made, mono[:, None].expand_as(made), atol=1e-5, rtol=0)


def test_windows_whose_channels_cancel_count_no_more_than_others():
    """Channels almost in opposite phase, as for a pure tone from the side: the mix is quiet, the difference is not."""
    generator = silent()
    left = torch.randn(1, 10080, generator=torch.Generator().manual_seed(0)) * 0.1
    frames = torch.zeros(1, 1, 3, 32, 64, dtype=torch.uint8)
    with torch.no_grad():
        loss = [generator({"audio": torch.stack([left, k * left], 1), "frames": frames})["loss"] for k in (-0.95, 0.0)]
    # Of the energy of both channels, all is difference in one window, and half in the other.
    assert float(loss[0] / loss[1]) == pytest.approx(2, abs=0.01)


def test_separation_does_not_update_running_statistics():
    batch = {"audio": torch.stack([clip.audio for clip in CLIPS]), "frames": torch.zeros(3, 1, 3, 32, 64).byte()}
    found = []
    for weight in (0.0, 0.5):
        torch.manual_seed(0)
        generator = small(separation=weight).train()
        assert ("separation" in generator(batch)) == (weight > 0)
        found.append({name: each for name, each in generator.state_dict().items() if "running" in name})
        assert all(each.track_running_stats for each in generator.modules() if isinstance(each, torch.nn.BatchNorm2d))
    assert len(found[0]) > 10
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_mirroring_exchanges_the_ears_and_turns_the_image_round():
    generator = small(mirror=True, crop=False, colour=0.0, rows=32, columns=64)
    clip = CLIPS[0]
    found = {}
    for seed in range(20):
        views = generator.views(clip, np.random.default_rng(seed))
        turned = not torch.equal(views["audio"], clip.audio)
        found[turned] = views
    assert set(found) == {True, False}
    assert torch.equal(found[True]["audio"], clip.audio.flip(0))
    assert torch.equal(found[True]["frames"], found[False]["frames"].flip(-1))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"fusion": "apnett"}, "did you mean 'apnet'"),
        ({"seconds": 0.7}, "0.63"),
        ({"width": 0}, "width is from 1 to 512, not 0"),
        ({"norm": "layer"}, "norm is batch, instance, not"),
        ({"widht": 4}, "did you mean 'width'"),
    ],
)
def test_options_without_a_meaning_are_refused(options, why):
    with pytest.raises(ValueError, match=why):
        build_generator(SpatializeOptions(generator_options=options), None)


def test_field_recordings_are_refused():
    with pytest.raises(ValueError, match="2 channels, got 4"):
        small().views(make_clips(1, 0, 0.63, 1, 16000, 4)[0], np.random.default_rng(0))


def test_encoders_are_wanted_where_they_are_named():
    with pytest.raises(ValueError, match="pretraining"):
        build_generator(replace(SpatializeOptions(), visual_branch="encoders"), None)
