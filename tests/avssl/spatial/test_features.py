"""Audio features: invariances, sensitivity to direction, and agreement with other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
import torch
import torchaudio

from avssl.config import FeatureConfig
from avssl.spatial.ambisonics import convert, direction, encode, mirror, rotate, rotation, rotation_to_front, stereo
from avssl.spatial.features import Features, intensity, names

TO_YZX = [1, 2, 0]
SMALL = {"hop": 480, "mels": 64}


def features(name: str = "foa-iv", **config) -> Features:
    return Features(FeatureConfig(name=name, **config))


@pytest.fixture
def field(generator):
    """Two talkers, some reverberation, and a floor of noise."""
    signals = torch.randn(3, 2, 24000, generator=generator).cumsum(-1) * 0.01
    foa = encode(signals, torch.tensor([[0.3, 2.0]] * 3), torch.tensor([[0.2, -0.7]] * 3)).sum(1)
    return foa + 0.05 * torch.randn(3, 4, 24000, generator=generator)


@pytest.mark.parametrize(
    ("name", "maps"),
    [
        ("mono-logmel", 1),
        ("stereo-logmel", 2),
        ("stereo-phase", 6),
        ("foa-logmel", 4),
        ("foa-iv", 7),
        ("beam-logmel", 1),
        ("beam-ratio", 2),
    ],
)
def test_each_feature_has_its_maps_and_a_frame_a_hop(field, name, maps):
    module = features(name)
    assert module.maps == maps
    assert module.audio_channels == 4
    assert module(field).shape == (3, maps, 100, 128)
    assert module(field[0]).shape == (maps, 100, 128)
    assert features(name, **SMALL)(field.reshape(3, 1, 4, -1)).shape == (3, 1, maps, 50, 64)


@pytest.mark.parametrize("remove_level", [False, True])
@pytest.mark.parametrize("name", names())
def test_rotations_give_the_features_of_rotated_waveforms(field, name, remove_level):
    module = features(name, remove_level=remove_level, **SMALL)
    turns = rotation(*torch.randn(3, 3, 5, generator=torch.Generator().manual_seed(3)))
    turns[:, 1] = torch.diag(torch.tensor([1.0, -1.0, 1.0])) @ turns[:, 1]  # a mirror is among them
    found, expected = module(field, turns), module(rotate(field[:, None], turns))
    assert found.shape == (3, 5, module.maps, 50, 64)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
    assert (found - expected).abs().mean() < 1e-5
    torch.testing.assert_close(module(field[0], turns[0]), found[0], atol=1e-4, rtol=0)


def test_gradients_pass_through_the_rotations_of_a_spectrum(field):
    module, turns = features("foa-iv", **SMALL), rotation(torch.tensor([[0.5, 2.0]]))
    ways = [lambda audio: module(audio, turns), lambda audio: module(rotate(audio[:, None], turns))]
    weights = torch.randn(1, 2, 7, 50, 64, generator=torch.Generator().manual_seed(1))
    grads = []
    for way in ways:
        audio = field[:1].clone().requires_grad_()
        grads.append(torch.autograd.grad((way(audio) * weights).sum(), audio)[0])
    assert (grads[0] - grads[1]).norm() < 1e-3 * grads[1].norm()


def test_every_name_is_tested():
    log_mels = ["mono-logmel", "stereo-logmel", "stereo-phase", "foa-logmel", "foa-iv", "beam-logmel"]
    assert names() == [*log_mels, "beam-ratio"]


def test_logmel_agrees_with_scipys_transform(field):
    window = scipy.signal.get_window("hann", 512)
    padded = np.pad(field[0].double().numpy(), ((0, 0), (256, 256)), mode="reflect")
    frames = np.stack([padded[:, 240 * i : 240 * i + 512] for i in range(100)], 1)
    magnitude = np.abs(scipy.fft.rfft(frames * window))
    bank = torchaudio.functional.melscale_fbanks(257, 0.0, 12000.0, 128, 24000, "slaney", "slaney").double().numpy()
    decibels = 10 * np.log10(np.maximum(magnitude @ bank, 1e-10))
    expected = np.maximum(decibels, decibels.max((1, 2), keepdims=True) - 100)
    np.testing.assert_allclose(features("foa-logmel")(field[0]).numpy(), expected, atol=2e-3)


def test_slaney_bands_are_librosas():
    # Slaney: linear to 1 kHz at 3 mel per 200 Hz, then 27 mel per factor 6.4; triangles of unit area in Hz.
    bank = features().filterbank
    assert bank.shape == (257, 128)
    top = 15 + 27 * math.log(12) / math.log(6.4)
    mel = np.linspace(0, top, 130)
    hertz = np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))
    frequency = np.arange(257) * 24000 / 512
    for band in (0, 40, 127):
        low, middle, high = hertz[band : band + 3]
        rise, fall = (frequency - low) / (middle - low), (high - frequency) / (high - middle)
        triangle = np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low)
        np.testing.assert_allclose(bank[:, band].numpy(), triangle, atol=1e-5)


def test_an_input_twenty_decibels_louder_gives_values_ten_higher(field):
    module = features("foa-logmel")
    torch.testing.assert_close(module(10 * field), module(field) + 10, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["mono-logmel", "stereo-logmel", "foa-iv", "beam-ratio"])
def test_with_remove_level_gain_has_no_effect_and_channels_keep_their_differences(field, name):
    kept, removed = features(name), features(name, remove_level=True)
    torch.testing.assert_close(removed(field * 0.05), removed(field), atol=1e-3, rtol=1e-3)
    (levels, found), count = (kept(field), removed(field)), kept.levels
    torch.testing.assert_close(found[:, count:], levels[:, count:])
    offset = levels[:, :count].mean((-2, -1)).amax(1)
    torch.testing.assert_close(
        levels[:, :count] - found[:, :count], offset[:, None, None, None].expand_as(found[:, :count])
    )
    silent = field.clone()
    silent[:, 2] = 0
    if name in ("mono-logmel", "stereo-logmel"):
        torch.testing.assert_close(removed(silent), found)
    elif name == "beam-ratio":  # a beam to the front does not depend on Z
        torch.testing.assert_close(removed(silent), found, atol=1e-3, rtol=0)
    else:
        torch.testing.assert_close(removed(silent)[:, [0, 1, 3]], found[:, [0, 1, 3]])


def test_intensity_of_every_bin_has_length_one_and_points_at_the_source(directions, generator):
    spectrum = torch.fft.rfft(encode(torch.randn(1000, 600, generator=generator), *directions).unfold(-1, 200, 200))
    # Bins at both ends are real: they pass through 0, where the direction is undefined.
    vector = intensity(spectrum[..., 1:-1].mT)
    assert vector.shape == (1000, 3, 99, 3)
    expected = direction(*directions)[:, TO_YZX]
    torch.testing.assert_close(vector, expected[..., None, None].expand_as(vector), atol=1e-3, rtol=0)


def test_intensity_maps_of_a_plane_wave_have_length_one_and_point_at_it(directions, generator):
    azimuth, elevation = (angle[:50] for angle in directions)
    maps = features(**SMALL)(encode(torch.randn(50, 4800, generator=generator), azimuth, elevation))[:, 4:]
    expected = direction(azimuth, elevation)[:, TO_YZX, None, None].expand_as(maps)
    torch.testing.assert_close(maps, expected, atol=1e-4, rtol=0)


def test_intensity_is_never_longer_than_one(field):
    assert features()(field)[:, 4:].norm(dim=1).max() < 1 + 1e-5


def test_intensity_needs_the_sn3d_gains(field):
    wave = encode(field[:, 0], 0.5, 0.2)
    length = features()(convert(wave, "ambix", "acn-n3d"))[:, 4:].norm(dim=1)
    torch.testing.assert_close(length, torch.full_like(length, 3**0.5 / 2), atol=1e-3, rtol=0)


def test_intensity_does_not_depend_on_level(field):
    loud, quiet = (features()(field * gain)[:, 4:] for gain in (1.0, 1e-4))
    torch.testing.assert_close(loud, quiet, atol=1e-4, rtol=0)


def test_intensity_maps_rotate_with_the_field(field):
    matrix = rotation(1.0, -0.6, 0.4)
    before, after = (features()(foa)[:, 4:] for foa in (field, rotate(field, matrix)))
    in_order = matrix[TO_YZX][:, TO_YZX]
    torch.testing.assert_close(after, torch.einsum("ij,bjtm->bitm", in_order, before), atol=1e-4, rtol=0)


def test_mono_features_are_invariant_to_rotation(field):
    rotated = rotate(field, rotation(1.0, -0.6, 0.4))
    assert torch.equal(features("mono-logmel")(rotated), features("mono-logmel")(field))
    torch.testing.assert_close(features("foa-logmel")(rotated)[:, 0], features("foa-logmel")(field)[:, 0])
    assert (features("foa-logmel")(rotated)[:, 1:] - features("foa-logmel")(field)[:, 1:]).abs().mean() > 1


def test_total_dipole_level_is_invariant_to_rotation(generator):
    # One plane wave: magnitudes of Y, Z, X are |W| times direction cosines, bin by bin, hence band by band.
    wave = encode(torch.randn(2400, generator=generator), 0.4, 0.3)
    for rotated in (wave, rotate(wave, rotation(1.0, -0.6, 0.4))):
        amplitude = 10 ** (features("foa-logmel")(rotated) / 10)
        torch.testing.assert_close(amplitude[1:].square().sum(0).sqrt(), amplitude[0], rtol=1e-3, atol=0)


def test_beam_features_follow_rotation_to_the_front(field):
    wave = encode(field[:, 0], 2.0, -0.5)
    beam_signal = features("beam-logmel")(rotate(wave, rotation_to_front(2.0, -0.5)))
    torch.testing.assert_close(beam_signal, features("mono-logmel")(wave) + 10 * math.log10(2), atol=1e-3, rtol=0)
    # Rotation about the front axis leaves the front unchanged.
    torch.testing.assert_close(
        features("beam-logmel")(rotate(field, rotation(0.0, 0.0, 1.0))),
        features("beam-logmel")(field),
        atol=1e-3,
        rtol=0,
    )


def test_mirrors_change_intensity_but_not_log_mels(field):
    for axis, component in (("left-right", 0), ("up-down", 1), ("front-back", 2)):
        plain, mirrored = features()(field), features()(mirror(field, axis))
        torch.testing.assert_close(mirrored[:, :4], plain[:, :4])
        expected = plain[:, 4:].clone()
        expected[:, component] *= -1
        torch.testing.assert_close(mirrored[:, 4:], expected)
        assert (mirrored - plain).abs().max() > 0.1


def test_mirror_swaps_the_maps_of_stereo(field):
    module = features("stereo-logmel")
    torch.testing.assert_close(module(mirror(field, "left-right")), module(field).flip(1))


def test_channel_counts_are_converted_as_documented(field):
    pair = stereo(field)
    torch.testing.assert_close(features("stereo-logmel")(pair), features("stereo-logmel")(field))
    mono = features("mono-logmel")
    torch.testing.assert_close(mono(pair), mono(field), atol=1e-3, rtol=0)
    torch.testing.assert_close(mono(field[:, :1]), mono(field))
    assert Features(FeatureConfig(name="stereo-logmel"), channels=2).audio_channels == 2


def test_silent_channels_are_finite_and_do_not_affect_others(field):
    without_z = field.clone()
    without_z[:, 2] = 0
    for name in names():
        assert features(name)(without_z).isfinite().all()
        assert features(name)(torch.zeros(4, 24000)).isfinite().all()
    maps = features()(without_z)
    torch.testing.assert_close(maps[:, [0, 1, 3]], features()(field)[:, [0, 1, 3]])
    assert (maps[:, 2] == -100).all()
    assert (maps[:, 5] == 0).all()
    assert (features()(torch.zeros(4, 24000))[4:] == 0).all()


def test_each_channel_is_clipped_relative_to_its_own_maximum(generator):
    foa = torch.randn(4, 24000, generator=generator)
    foa[:, 12000:] = 0
    maps = features("foa-logmel", top_db=30.0)(foa * torch.tensor([[1.0], [0.1], [0.01], [0.001]]))
    span = maps.amax((-2, -1)) - maps.amin((-2, -1))
    torch.testing.assert_close(span, torch.full((4,), 30.0), atol=1e-4, rtol=0)


def test_empty_filters_give_no_nan(field):
    module = features(n_fft=256, mels=128)
    assert (module.filterbank.sum(0) == 0).any()
    module.fit([field])
    maps = module(field)
    assert maps.isfinite().all()
    assert (maps[:, 4:, :, module.filterbank.sum(0) == 0] == 0).all()


def test_fitted_statistics_centre_and_scale_the_levels_and_not_the_intensity(field):
    module = features()
    plain = module(field)
    module.fit(iter(field))
    levels = module(field)[:, :4]
    torch.testing.assert_close(levels.mean((0, 1, 2)), torch.zeros(128), atol=1e-3, rtol=0)
    torch.testing.assert_close(levels.std((0, 1, 2), correction=0), torch.ones(128), atol=1e-3, rtol=0)
    assert torch.equal(module(field)[:, 4:], plain[:, 4:])
    # One mean and deviation for all channels: differences between channels are scaled, never removed.
    torch.testing.assert_close((levels[:, 1] - levels[:, 0]) * module.std, plain[:, 1] - plain[:, 0], atol=1e-3, rtol=0)


def test_fitting_again_resets_and_weights_include_statistics(field):
    module, other = features(), features()
    module.fit([field * 3])
    module.fit([field])
    other.fit([field])
    assert torch.equal(module.mean, other.mean)
    assert set(module.state_dict()) == {"mean", "std"}
    fresh = features()
    fresh.load_state_dict(module.state_dict())
    assert torch.equal(fresh(field), module(field))


def test_chunked_features_equal_unchunked(field):
    many = field.repeat(4, 1, 1)
    module = features()
    one_by_one = torch.stack([module(audio) for audio in many])
    torch.testing.assert_close(module(many), one_by_one)
    many.requires_grad_()
    torch.testing.assert_close(module(many), one_by_one)


def test_features_are_equal_under_autocast(field):
    module = features()
    with torch.autocast("cpu", torch.bfloat16):
        inside = module(field)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, module(field))


@pytest.mark.parametrize("name", names())
def test_gradient_is_right_and_finite_where_a_channel_is_silent(name, generator):
    module = features(name, n_fft=16, hop=8, mels=4).double()
    audio = torch.randn(4, 40, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda audio: module(rotate(audio, rotation(0.3, 0.2, 0.1))), audio)
    silent = torch.randn(4, 40, generator=generator) * torch.tensor([[1.0], [1.0], [0.0], [1.0]])
    silent.requires_grad_()
    features(name, n_fft=16, hop=8, mels=4)(silent).square().sum().backward()
    assert silent.grad.isfinite().all()


def test_invalid_inputs_are_errors(field):
    with pytest.raises(ValueError, match="did you mean 'foa-iv'"):
        features("foa_iv")
    with pytest.raises(ValueError, match="expected 4 channels for foa-iv, got 2"):
        Features(FeatureConfig(), channels=2)
    with pytest.raises(ValueError, match=r"audio \(\.\.\., 4 channels, samples\) for foa-iv, got \(3, 2, 24000\)"):
        features()(field[:, :2])
    with pytest.raises(ValueError, match="at least 257 samples for foa-iv, got 100"):
        features()(field[..., :100])
    with pytest.raises(ValueError, match="at least one waveform"):
        features().fit([])


@pytest.mark.gpu
def test_accelerator_gives_the_same_maps(field):
    if not torch.cuda.is_available():
        pytest.skip("no accelerator")
    module = features()
    torch.testing.assert_close(module.to("cuda")(field.to("cuda")).cpu(), features()(field), atol=1e-2, rtol=1e-3)
