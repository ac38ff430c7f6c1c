"""A rigid sphere against closed forms; a source for two ears, static and moving, against convolution and physics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve, firwin

from avssl.spatial import binaural
from avssl.spatial.ambisonics import direction
from avssl.spatial.binaural import HrirSet, render, spherical_head
from avssl.spatial.spherical_head import pressure

RATE = 24000
RADIUS, SPEED = 0.0875, 343.0
LEFT, RIGHT = 0, 1


@pytest.fixture(scope="module")
def head() -> HrirSet:
    return spherical_head(RATE)


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    """Four seconds of noise below 3 kHz: clicks would be visible above."""
    white = np.random.default_rng(0).standard_normal(4 * RATE)
    return torch.from_numpy(fftconvolve(white, firwin(1025, 3000, fs=RATE), mode="same").astype(np.float32))


@pytest.fixture(scope="module")
def random_hrirs() -> HrirSet:
    """HRIRs of noise in 300 random directions."""
    generator = torch.Generator().manual_seed(3)
    azimuth = (torch.rand(300, generator=generator) * 2 - 1) * torch.pi
    elevation = torch.asin(torch.rand(300, generator=generator) * 2 - 1)
    return HrirSet(torch.stack([azimuth, elevation], -1), torch.randn(300, 2, 50, generator=generator), RATE)


def _onset(response: torch.Tensor, share: float = 0.5) -> float:
    """Seconds until a fraction of the peak is reached, upsampled 32 times."""
    taps = len(response)
    fine = np.abs(np.fft.irfft(np.fft.rfft(response.double().numpy()), taps * 32))
    return int(np.argmax(fine > share * fine.max())) / 32 / RATE


def _impulse(azimuth: float, elevation: float, hrirs: HrirSet) -> torch.Tensor:
    click = torch.zeros(256)
    click[0] = 1
    return render(click, azimuth, elevation, hrirs)


def _high(audio: torch.Tensor) -> float:
    """Level above 6 kHz in dB."""
    spectrum = torch.fft.rfft(audio.double() * torch.hann_window(audio.shape[-1], dtype=torch.float64))
    above = torch.fft.rfftfreq(audio.shape[-1], 1 / RATE) > 6000
    return float(10 * torch.log10(spectrum[..., above].abs().square().sum()))


def test_the_near_ear_is_louder_and_earlier(head):
    for azimuth, near, far in ((math.pi / 2, LEFT, RIGHT), (-math.pi / 2, RIGHT, LEFT), (0.6, LEFT, RIGHT)):
        rendered = _impulse(azimuth, 0.0, head)
        energy = rendered.square().sum(-1)
        assert energy[near] > 1.5 * energy[far]
        assert _onset(rendered[near]) < _onset(rendered[far]) - 2e-4


def test_onset_differences_follow_woodworth(head):
    for degrees in range(0, 91, 15):
        angle = math.radians(degrees)
        woodworth = RADIUS / SPEED * (angle + math.sin(angle))
        for azimuth in (angle, math.pi - angle):
            rendered = _impulse(azimuth, 0.0, head)
            assert _onset(rendered[RIGHT]) - _onset(rendered[LEFT]) == pytest.approx(woodworth, abs=30e-6)


def test_a_wider_head_has_a_longer_time_difference():
    for radius in (0.07, 0.1):
        rendered = _impulse(math.pi / 2, 0.0, spherical_head(RATE, radius))
        woodworth = radius / SPEED * (math.pi / 2 + 1)
        assert _onset(rendered[RIGHT]) - _onset(rendered[LEFT]) == pytest.approx(woodworth, abs=30e-6)


def test_low_frequency_time_difference_is_three_radii(head):
    """Kuhn 1977: far below k r = 1 the time difference is 3 r/c sin(azimuth), 1.5 times the geometric one."""
    for degrees in (20, 45, 90):
        rendered = torch.fft.rfft(_impulse(math.radians(degrees), 0.0, head).double(), RATE)[:, 200]
        late = float((rendered[LEFT] / rendered[RIGHT]).angle()) / (2 * math.pi * 200)
        assert late == pytest.approx(3 * RADIUS / SPEED * math.sin(math.radians(degrees)), rel=0.03)


def test_sphere_doubles_pressure_at_short_wavelengths_only():
    strong, weak = pressure(np.array([0.0]), np.array([60.0, 1e-3]))[0]
    assert abs(strong) == pytest.approx(2, rel=0.01)
    assert abs(weak) == pytest.approx(1, rel=1e-5)


def test_front_and_above_are_equal_in_both_ears(head):
    for azimuth, elevation in ((0.0, 0.0), (math.pi, 0.0), (0.0, 0.7), (1.0, math.pi / 2)):
        left, right = _impulse(azimuth, elevation, head)
        torch.testing.assert_close(left, right, atol=1e-4, rtol=0)


def test_a_mirrored_path_swaps_left_and_right(head, noise):
    azimuth = torch.linspace(-2, 3, len(noise))
    rendered, mirrored = render(noise, azimuth, 0.3, head), render(noise, -azimuth, 0.3, head)
    assert (rendered - mirrored.flip(0)).square().sum() < 1e-8 * rendered.square().sum()


def test_a_static_source_is_convolved_with_its_measured_hrirs(random_hrirs, generator):
    signal = torch.randn(2000, generator=generator)
    for index in (0, 17, 250):
        rendered = render(signal, *random_hrirs.directions[index].tolist(), random_hrirs)
        for ear in (LEFT, RIGHT):
            expected = fftconvolve(signal.numpy(), random_hrirs.responses[index, ear].numpy())[:2000]
            np.testing.assert_allclose(rendered[ear].numpy(), expected, atol=1e-3)


def test_a_constant_path_equals_the_static_source(head, noise):
    static, path = render(noise, 1.0, 0.2, head), render(noise, torch.full_like(noise, 1.0), 0.2, head)
    assert (static - path).square().sum() < 1e-5 * static.square().sum()


def test_a_slow_source_equals_static_sources_along_its_path(head, noise):
    azimuth = torch.linspace(-math.pi, math.pi, len(noise))
    moving = render(noise, azimuth, 0.1, head)
    at = torch.arange(4000, len(noise), 7001)
    static = torch.stack([render(noise, float(azimuth[i]), 0.1, head)[:, i] for i in at], -1)
    assert (moving[:, at] - static).square().sum() < 2e-3 * static.square().sum()


def test_a_circling_source_has_no_discontinuities(head, noise):
    time = torch.arange(len(noise)) / RATE
    for signal in (noise, torch.sin(2 * math.pi * 1000 * time)):
        moving = render(signal, 2 * math.pi * time, 0.0, head)[:, RATE // 10 : -RATE // 10]
        static = [render(signal, angle, 0.0, head)[:, RATE // 10 : -RATE // 10] for angle in np.arange(0, 6.2, 0.5)]
        jump = max(float(each.diff().abs().max()) for each in static)
        assert float(moving.diff().abs().max()) < 1.05 * jump
        assert _high(moving) < max(_high(each) for each in static) + 1


def test_a_path_across_the_back_and_zenith_is_continuous(head, noise):
    azimuth = torch.linspace(3.0, 3.3, len(noise))
    wrapped = (azimuth + math.pi) % (2 * math.pi) - math.pi
    torch.testing.assert_close(render(noise, azimuth, 0.0, head), render(noise, wrapped, 0.0, head), atol=1e-4, rtol=0)
    over = torch.linspace(1.2, math.pi - 1.2, len(noise))
    folded = torch.where(over > math.pi / 2, math.pi - over, over), torch.where(over > math.pi / 2, math.pi, 0.0)
    moving = render(noise, folded[1], folded[0], head)
    assert _high(moving) < _high(render(noise, 0.0, 1.2, head)) + 3


def test_a_long_path_is_filtered_in_chunks_without_a_seam(head, noise, monkeypatch):
    azimuth = torch.linspace(0, 9, len(noise))
    whole = render(noise, azimuth, 0.2, head, 2.0)
    monkeypatch.setattr(binaural, "_CHUNK", 70)
    torch.testing.assert_close(render(noise, azimuth, 0.2, head, 2.0), whole, atol=1e-5, rtol=0)


def test_silence_and_silent_hrirs_give_silence(head):
    assert float(render(torch.zeros(500), torch.linspace(0, 1, 500), 0.0, head).abs().max()) == 0
    mute = HrirSet(head.directions, head.responses * torch.tensor([1.0, 0.0])[:, None], RATE)
    left, right = render(torch.ones(500), torch.linspace(0, 1, 500), 0.0, mute)
    assert float(left.abs().max()) > 0.5
    assert float(right.abs().max()) < 1e-6


def test_distance_adds_delay_and_attenuation(head, noise):
    near, far = render(noise, 0.5, 0.0, head, 1.0), render(noise, 0.5, 0.0, head, 1 + 34.3)
    late = RATE // 10
    assert far[:, : late - 100].abs().max() < 1e-6
    expected = near[:, :-late] / 35.3
    assert (far[:, late:] - expected)[:, 200:].square().sum() < 1e-5 * expected.square().sum()


def test_an_approaching_source_has_a_doppler_shift(head):
    time = torch.arange(4 * RATE, dtype=torch.float64) / RATE
    tone = torch.sin(2 * math.pi * 1000 * time).float()
    rendered = render(tone, 0.0, 0.0, head, 60 - 10 * time)[LEFT, RATE:]
    found = torch.fft.rfft(rendered * torch.hann_window(len(rendered))).abs().argmax() * RATE / len(rendered)
    assert float(found) == pytest.approx(1000 * (1 + 10 / SPEED), abs=0.5)


def test_interpolated_hrirs_of_a_coarse_grid_match_a_fine_one(head):
    """Every other direction of a 5-degree grid is interpolated from the rest."""
    coarse = HrirSet(head.directions[::2], head.responses[::2], RATE)
    found = coarse.interpolator.responses(*head.directions[1::2].unbind(-1))[..., : head.responses.shape[-1]]
    expected = head.responses[1::2]
    error = (found - expected).square().sum((1, 2)) / expected.square().sum((1, 2))
    assert error.max() < 0.05
    assert error.median() < 0.005


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_any_number_of_directions_can_be_interpolated(head, count):
    ring = torch.arange(count) * 2 * math.pi / count
    directions = torch.stack([ring, torch.zeros(count)], -1)
    few = HrirSet(directions, head.interpolator.responses(*directions.unbind(-1)), RATE)
    back = few.interpolator.responses(*directions.unbind(-1))[..., : few.responses.shape[-1]]
    torch.testing.assert_close(back, few.responses, atol=1e-5, rtol=0)
    azimuth = torch.linspace(-9, 9, RATE)
    assert bool(render(torch.ones(RATE), azimuth, azimuth.sin() * math.pi / 2, few).isfinite().all())


def test_resampling_keeps_gain_and_time_of_arrival(head):
    assert head.resample(RATE) is head
    for rate in (16000, 44100):
        changed = head.resample(rate)
        assert changed.sample_rate == rate
        for frequency in (300, 3000):
            at, was = (
                torch.einsum("met,t->me", hrirs.responses.cfloat(), _wave(frequency, hrirs))
                for hrirs in (changed, head)
            )
            torch.testing.assert_close(at, was, atol=0.03, rtol=0)


def test_resampling_keeps_the_gain_within_a_percent(head):
    changed = head.resample(24000)
    for frequency in (300, 1000, 3000, 6000):
        at, was = (
            torch.einsum("met,t->me", hrirs.responses.cfloat(), _wave(frequency, hrirs)) for hrirs in (changed, head)
        )
        assert float((at - was).abs().max()) < 0.01


def _wave(frequency: float, hrirs: HrirSet) -> torch.Tensor:
    phase = -2 * math.pi * frequency / hrirs.sample_rate * torch.arange(hrirs.responses.shape[-1])
    return torch.polar(torch.ones_like(phase), phase)


def test_grid_directions_are_unique_and_evenly_spaced(head):
    vectors = direction(*head.directions.double().unbind(-1))
    closest = (vectors @ vectors.T - 2 * torch.eye(len(vectors))).amax(1)
    assert math.degrees(math.acos(float(closest.max()))) > 2
    assert math.degrees(math.acos(float(closest.min()))) < 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signal": torch.zeros(2, 10)}, "samples"),
        ({"signal": torch.zeros(0)}, "non-empty"),
        ({"azimuth": torch.zeros(9)}, "10, got 9"),
        ({"elevation": math.nan}, "finite"),
        ({"distance": 0.0}, "above 0"),
        ({"distance": torch.full((10,), -1.0)}, "above 0"),
    ],
)
def test_invalid_sources_are_errors(head, change, message):
    source = {"signal": torch.zeros(10), "azimuth": 0.0, "elevation": 0.0, "hrirs": head}
    with pytest.raises(ValueError, match=message):
        render(**(source | change))


@pytest.mark.parametrize(
    ("directions", "responses", "rate"),
    [
        (torch.zeros(0, 2), torch.zeros(0, 2, 8), RATE),
        (torch.zeros(3, 2), torch.zeros(3, 1, 8), RATE),
        (torch.zeros(3, 2), torch.zeros(4, 2, 8), RATE),
        (torch.zeros(3, 2), torch.full((3, 2, 8), math.nan), RATE),
        (torch.zeros(3, 2), torch.zeros(3, 2, 8), 0),
    ],
)
def test_invalid_hrirs_are_errors(directions, responses, rate):
    with pytest.raises(ValueError, match=r"directions|responses|rate"):
        HrirSet(directions, responses, rate)
    with pytest.raises(ValueError, match="radius"):
        spherical_head(RATE, -1.0)
