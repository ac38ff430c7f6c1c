from dataclasses import replace

import numpy as np
import pytest
import torch

from avssl.spatial.ambisonics import angle_between, intensity_direction
from avssl.synth.acoustics.foa_render import direct, early, render_audio
from avssl.synth.acoustics.room import background, draw_room, tail
from avssl.synth.scene import Format, describe
from avssl.synth.trajectories import Oscillation, Path, unit_vector

FORM = Format(seconds=2.0)
RATE = FORM.sample_rate
STILL = Oscillation(0.0, 0.0, 0.0)


def still(azimuth, elevation, distance):
    return Path(float(np.radians(azimuth)), float(np.radians(elevation)), distance, 0.0, STILL, STILL, STILL)


def soloist(scene):
    return next(thing for thing in scene.things if thing.sounding)


def alone(scene, thing):
    return replace(scene, things=(thing,))


def tone(frequency):
    return np.sin(2 * np.pi * frequency * FORM.span().times()).astype(np.float32)


def impulse(time):
    signal = np.zeros(FORM.span().samples, np.float32)
    signal[round((time - FORM.span().start) * RATE)] = 1.0
    return signal


@pytest.mark.parametrize("index", range(8))
def test_intensity_follows_the_object(index):
    scene = describe(3, index)
    thing = soloist(scene)
    audio = torch.from_numpy(render_audio(replace(alone(scene, thing), room=scene.room.anechoic()), FORM))
    window = RATE // 4
    for begin in range(0, audio.shape[1] - window, window):
        heard = audio[:, begin : begin + window]
        azimuth, elevation, _ = thing.path.at(np.arange(begin, begin + window) / RATE)
        # The object moves on within a window and is not evenly loud: its mean direction weighs by power.
        weights = heard[0].numpy().astype(float) ** 2
        middle = weights @ unit_vector(azimuth, elevation)
        wanted = np.arctan2(middle[1], middle[0]), np.arctan2(middle[2], np.hypot(middle[0], middle[1]))
        off = angle_between(*intensity_direction(heard, RATE, 50, 11000)[:2], *map(float, wanted))
        assert np.degrees(float(off)) < 1


def test_audio_arrives_later_and_weaker_from_afar():
    thing = describe(3, 0).things[0]
    near = direct(replace(thing, path=still(30, 10, 1.715)), impulse(0.5), FORM)[0]
    far = direct(replace(thing, path=still(30, 10, 3.43)), impulse(0.5), FORM)[0]
    assert near.argmax() == round((0.5 + 1.715 / 343) * RATE)
    assert far.argmax() == round((0.5 + 3.43 / 343) * RATE)
    assert near.max() / far.max() == pytest.approx(2, rel=1e-3)


def test_an_approaching_object_waveforms_higher():
    reach = Oscillation(0.3, 0.25, 0.0)
    path = replace(still(0, 0, 3.0), reach=reach)
    thing = replace(describe(3, 0).things[0], path=path)
    heard = direct(thing, tone(1000.0), FORM)[0].astype(float)
    times = FORM.sample_times()
    speed = np.gradient(path.at(times)[2], times)
    analytic = np.fft.ifft(np.fft.fft(heard) * (np.fft.fftfreq(len(heard)) > 0) * 2)
    frequency = np.gradient(np.unwrap(np.angle(analytic)), times) / (2 * np.pi)
    inner = slice(2400, -2400)
    expected = 1000 * (1 - speed / 343)
    assert np.ptp(expected[inner]) > 3
    assert np.abs(frequency[inner] - expected[inner]).max() < 0.3


@pytest.mark.parametrize("index", range(4))
def test_a_moving_tone_stays_a_tone_without_clicks(index):
    scene = describe(3, index)
    for heard in (direct(scene.things[0], tone(1000.0), FORM), early(scene.room, scene.things[0], tone(1000.0), FORM)):
        steady = heard[:, 2400:-2400].astype(float)
        spectrum = np.abs(np.fft.rfft(steady * np.blackman(steady.shape[1]))) ** 2
        frequencies = np.fft.rfftfreq(steady.shape[1], 1 / RATE)
        beside = np.abs(frequencies - 1000) > 100
        assert 10 * np.log10(spectrum[:, beside].sum() / spectrum.sum()) < -60


def test_a_reflection_comes_from_the_mirrored_position():
    room = draw_room(np.random.default_rng(0))
    room = replace(room, walls=(6.0, 7.0, 6.5, 8.0, 4.0, 5.0), reflection=(0.0, 0.0, 0.5, 0.0, 0.0, 0.0))
    thing = replace(describe(3, 0).things[0], path=still(0, 0, 3.0))
    heard = early(room, thing, impulse(0.5), FORM)
    # Object at x = 3 m, wall on the left at y = 6.5 m: its image stands at (3, 13, 0).
    distance = np.hypot(3, 13)
    arrival = round(0.5 * RATE) + round(distance / 343 * RATE)
    assert abs(int(heard[0].argmax()) - arrival) <= 1
    w, y, z, x = heard.sum(1)
    assert w == pytest.approx(0.5 / distance, rel=1e-3)
    assert (y / w, z / w, x / w) == pytest.approx((13 / distance, 0, 3 / distance), abs=1e-4)


def test_the_tail_is_diffuse_and_falls_by_60_decibels_in_its_time():
    room = replace(draw_room(np.random.default_rng(1)), reverberation=0.4, critical_distance=5.0)
    click = np.zeros(RATE, np.float32)
    click[0] = 1
    response = tail(room, click, RATE).astype(float)
    power = (response**2).sum(1)
    assert power == pytest.approx(np.array([1, 1 / 3, 1 / 3, 1 / 3]) / 25, rel=0.15)
    level = 10 * np.log10((response[0].reshape(-1, RATE // 50) ** 2).mean(1) + 1e-30)
    slope = np.polyfit(np.arange(2, 16) / 50, level[2:16], 1)[0]
    assert slope == pytest.approx(-60 / 0.4, rel=0.1)


def test_the_background_is_diffuse():
    noise = background(draw_room(np.random.default_rng(2)), 4 * RATE, RATE).astype(float)
    assert np.sqrt((noise**2).mean(1)) == pytest.approx(np.array([1, 3**-0.5, 3**-0.5, 3**-0.5]), rel=1e-3)
    assert np.abs(np.corrcoef(noise) - np.eye(4)).max() < 0.1


def test_the_direct_audio_dominates_and_the_background_is_below():
    ratios = []
    for index in range(12):
        scene = describe(3, index)
        thing = soloist(scene)
        dead = replace(scene.room, noise=np.inf, reverberation=0.0, reflection=(0.0,) * 6, level=0.0)
        wet = replace(scene.room, noise=np.inf)
        dry_audio, wet_audio = (render_audio(replace(alone(scene, thing), room=room), FORM)[0] for room in (dead, wet))
        # The direct part of the wet sound, by projection; levels differ.
        gain = dry_audio @ wet_audio / (dry_audio @ dry_audio)
        rest = wet_audio - gain * dry_audio
        ratios.append(10 * np.log10((gain * dry_audio) @ (gain * dry_audio) / (rest @ rest)))
    assert 3 < np.median(ratios) < 14
    assert min(ratios) > -2


@pytest.mark.heavy
def test_audio_stays_below_full_scale_at_many_levels():
    levels = []
    for index in range(30):
        audio = render_audio(describe(3, index), Format(seconds=1.0))
        assert audio.shape == (4, RATE)
        assert np.abs(audio).max() <= 0.9 + 1e-6
        levels.append(20 * np.log10(np.sqrt((audio[0] ** 2).mean())))
    assert np.ptp(levels) > 8
    assert min(levels) > -40
