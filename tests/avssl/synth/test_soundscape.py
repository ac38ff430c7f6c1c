"""Beds, passers and the hall of a made-up place, against closed forms."""

import numpy as np
import pytest
import torch
from scipy.signal import welch

from avssl.spatial.ambisonics import field_direction, intensity_direction
from avssl.synth.soundscape.background_noise import AmbienceLayer, DirectionalSpread, LoudnessModulation, NoiseSpectrum
from avssl.synth.soundscape.moving_sources import Line, MovingSource
from avssl.synth.soundscape.soundscape import DiffuseReverb, Soundscape
from avssl.synth.sources.oscillators import Voice

RATE = 16000
WHITE = NoiseSpectrum(1, 1e6, 0)
VOICE = Voice(1, 1, 0, 0, 7)


def power(field):
    return (np.asarray(field, np.float64) ** 2).mean()


def covariance(field):
    field = np.asarray(field, np.float64)
    return field @ field.T / field.shape[1]


def bed(spread, level=0.0, tint=WHITE, depth=0.0, seed=3):
    return AmbienceLayer(tint, spread, level, LoudnessModulation(depth, 0.1, 5), seed)


def first(blocks, count):
    return np.concatenate([next(blocks) for _ in range(count)], 1)


@pytest.mark.parametrize("slope", [-6.0, 0.0, -2.5])
def test_noise_has_unit_power_and_falls_by_its_slope_an_octave(slope):
    noise = NoiseSpectrum(40, 1e5, slope).noise(np.random.default_rng(1), (2, 20 * RATE), RATE)
    assert power(noise) == pytest.approx(1, rel=0.03)
    frequencies, density = welch(noise[0], RATE, nperseg=1024)
    low, high = (10 * np.log10(density[abs(frequencies - at) < 60].mean()) for at in (600, 2400))
    assert high - low == pytest.approx(2 * slope, abs=0.7)


def test_beyond_its_edges_noise_falls_by_twelve_decibels_an_octave():
    at = NoiseSpectrum(200, 1000, 0).amplitudes(np.array([0.0, 10, 20, 3e4, 6e4]))
    assert at[0] == 0
    assert 20 * np.log10(at[2] / at[1]) == pytest.approx(12.04, abs=0.1)
    assert 20 * np.log10(at[4] / at[3]) == pytest.approx(-12.04, abs=0.1)


@pytest.mark.parametrize("concentration", [0.5, 4.0, 50.0])
def test_a_spread_points_by_langevins_function_to_its_middle(concentration):
    spread = DirectionalSpread(2.0, 0.3, concentration)
    found = spread.covariance(2)
    length = 1 / np.tanh(concentration) - 1 / concentration
    middle = np.array([np.sin(2) * np.cos(0.3), np.sin(0.3), np.cos(2) * np.cos(0.3)])
    assert found[0, 1:4] == pytest.approx(length * middle, abs=2e-3)
    azimuth, elevation, diffuseness = field_direction(torch.from_numpy(found[:4, :4]))
    assert (float(azimuth), float(elevation)) == pytest.approx((2.0, 0.3), abs=0.01)
    assert float(diffuseness) == pytest.approx(1 - length, abs=2e-3)


def test_diffuse_covariance_is_diagonal_with_the_power_of_w_in_every_degree():
    degree = np.repeat(np.arange(5), [1, 3, 5, 7, 9])
    assert DirectionalSpread().covariance(4) == pytest.approx(np.diag(1 / (2 * degree + 1)), abs=2e-3)


def test_a_bed_has_the_covariance_of_its_spread_at_its_level():
    spread = DirectionalSpread(-1.0, 0.5, 3.0)
    found = covariance(first(bed(spread, level=-6.0).blocks(4000, RATE, 2), 30))
    assert found == pytest.approx(10**-0.6 * spread.covariance(2), abs=0.01)


def test_a_bed_goes_on_over_the_seams_of_its_blocks():
    block = 4000
    audio = first(bed(DirectionalSpread(), tint=NoiseSpectrum(20, 300, -3)).blocks(block, RATE, 4), 40)[:9].reshape(
        9, 40, block
    )
    seam, inside = audio[..., :1600], audio[..., 2000:3600]
    assert power(seam) == pytest.approx(power(inside), rel=0.1)
    steps = np.abs(np.diff(audio.reshape(9, -1), axis=1))
    assert steps[:, block - 1 :: block].max() <= steps.max()
    assert not np.array_equal(audio[:, 0], audio[:, 1])


def test_a_swell_has_its_depth_in_decibels():
    gains = LoudnessModulation(3.0, 0.1, 2).gains(np.arange(0, 5000, 0.1))
    assert np.std(20 * np.log10(gains)) == pytest.approx(3.0, rel=0.02)


def passer(line, wet=0.0, seconds=8.0):
    return MovingSource(0.0, seconds, WHITE, VOICE, line, 0.0, wet)


def test_a_passer_is_heard_from_where_its_line_leads():
    line = Line(0.4, 3.0, 1.0, speed=2.0, passing=4.0)
    field = passer(line).directed(np.ones(8 * RATE, np.float32), 0.0, RATE, 1)
    for time in (0.5, 3.0, 4.0, 7.2):
        w, y, z, x = field[:, round(time * RATE)]
        along = 2.0 * (time - 4.0)
        assert w == pytest.approx(1, abs=1e-3)
        assert np.arctan2(y, x) == pytest.approx(0.4 + np.arctan2(along, 3.0), abs=2e-3)
        assert z == pytest.approx(1 / np.sqrt(9 + along**2 + 1), abs=2e-3)


def test_a_passer_is_louder_by_its_distance():
    line = Line(0.0, 2.0, 0.0, speed=1.0, passing=4.0)
    audio = passer(line).dry(RATE)
    nearest, farther = (power(audio[round(t * RATE) - 1600 : round(t * RATE) + 1600]) for t in (4.0, 6.0))
    assert nearest == pytest.approx(1, rel=0.1)
    assert nearest / farther == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize(("wet", "least", "most"), [(0.0, 0.0, 0.02), (1.0, 0.9, 1.0)])
def test_what_arrives_by_way_of_the_hall_is_as_loud_and_comes_from_all_round(wet, least, most):
    place = Soundscape((), (passer(Line(1.0, 2.0), wet),), DiffuseReverb(0.5, 4))
    field = np.concatenate(list(place.blocks(8.0, RATE, 3)), 1)
    assert field.shape == (16, 8 * RATE)
    assert least <= intensity_direction(torch.from_numpy(field[:4]), RATE)[2] <= most
    degrees = [power(field[n * n : (n + 1) ** 2]) * (2 * n + 1) for n in range(4)]
    # The sound fades in and out for 15 % of its length each: what is left has 0.7 + 0.3 * 3 / 8 of the power.
    assert degrees == pytest.approx([0.8125] * 4, rel=0.1)


def test_a_turned_place_has_all_of_it_turned():
    place = Soundscape((bed(DirectionalSpread(0.5, 0.2, 20.0)),), (passer(Line(1.0, 2.0)),), DiffuseReverb(0.5, 4), -20)
    turned = place.turned(0.7)
    assert (turned.beds[0].spread.azimuth, turned.passers[0].line.bearing) == pytest.approx((1.2, 1.7))
    first_azimuth, second_azimuth = (
        float(intensity_direction(torch.from_numpy(next(each.blocks(4.0, RATE, 1))), RATE)[0])
        for each in (place, turned)
    )
    assert second_azimuth - first_azimuth == pytest.approx(0.7, abs=0.05)


def test_a_longer_recording_begins_with_the_shorter():
    place = Soundscape((bed(DirectionalSpread()),), (passer(Line(1.0, 2.0), 0.5),), DiffuseReverb(0.5, 4))
    short, long = (np.concatenate(list(place.blocks(seconds, RATE, 1)), 1) for seconds in (5.5, 9.0))
    assert short.shape[1] == 5.5 * RATE
    # The last block of the shorter one is transformed at another length.
    np.testing.assert_allclose(short, long[:, : short.shape[1]], rtol=1e-5, atol=1e-6)
