from dataclasses import replace

import cv2
import numpy as np
import pytest

from avssl.synth.drawn_object import dry, sprite
from avssl.synth.scene import Format, describe
from avssl.synth.sources.classes import KINDS

FORM = Format(seconds=2.0)


@pytest.fixture(scope="module")
def individuals():
    """Ten of each kind."""
    found = {kind.name: [] for kind in KINDS}
    index = 0
    while min(map(len, found.values())) < 10:
        for thing in describe(11, index).things:
            found[thing.kind].append(thing)
        index += 1
    return {kind: things[:10] for kind, things in found.items()}


def nearest_kind_accuracy(features):
    """How often an individual of the second half lies nearest to one of the first half of its own kind."""
    kinds = list(features)
    known = np.concatenate([features[kind][:5] for kind in kinds])
    hits = 0
    for number, kind in enumerate(kinds):
        for each in features[kind][5:]:
            hits += int(np.linalg.norm(known - each, axis=1).argmin()) // 5 == number
    return hits / (5 * len(kinds))


def seen(thing, grey):
    small = cv2.resize(sprite(thing.look, thing.kind), (20, 20), interpolation=cv2.INTER_AREA).astype(float)
    image = small[..., :3] + (255 - small[..., 3:]) / 2
    return (image.mean(-1) if grey else image).ravel()


def heard(thing):
    """Mean and spread over one second of the logarithm of power in 40 bands."""
    second = dry(thing.voice, thing.kind, FORM.span())[FORM.sample_rate : 2 * FORM.sample_rate]
    power = np.abs(np.fft.rfft(second.reshape(-1, 480) * np.hanning(480))) ** 2
    bands = np.log(power[:, :240].reshape(len(power), 40, 6).mean(-1) + 1e-3)
    return np.concatenate([bands.mean(0), 2 * bands.std(0)])


def test_kinds_are_told_apart_by_eye_at_twenty_pixels(individuals):
    features = {kind: [seen(thing, grey=False) for thing in things] for kind, things in individuals.items()}
    assert nearest_kind_accuracy(features) > 0.9


def test_kinds_are_told_apart_without_colour(individuals):
    features = {kind: [seen(thing, grey=True) for thing in things] for kind, things in individuals.items()}
    assert nearest_kind_accuracy(features) > 0.6


def test_kinds_are_told_apart_by_ear_in_one_second(individuals):
    features = {kind: [heard(thing) for thing in things] for kind, things in individuals.items()}
    assert nearest_kind_accuracy(features) > 0.85


@pytest.mark.heavy
def test_individuals_of_a_kind_differ(individuals):
    for things in individuals.values():
        looks, waveforms = [seen(thing, grey=False) for thing in things], [heard(thing) for thing in things]
        for features in (looks, waveforms):
            assert min(np.abs(a - b).max() for k, a in enumerate(features) for b in features[:k]) > 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_second_of_a_audio_is_empty(kind, individuals):
    rate = FORM.sample_rate
    for thing in individuals[kind.name]:
        audio = dry(thing.voice, thing.kind, FORM.span())
        assert np.abs(audio).max() <= 5
        assert np.isfinite(audio).all()
        for begin in range(0, len(audio) - rate, rate // 4):
            assert np.sqrt((audio[begin : begin + rate] ** 2).mean()) > 0.5


def test_the_same_voice_at_another_sample_rate_has_the_same_pitch():
    thing = describe(11, 0).things[0]
    siren = replace(thing.voice, pitch=700.0, rate=2.0)
    peaks = []
    for rate in (16000, 48000):
        audio = dry(siren, "siren", Format(seconds=2.0, sample_rate=rate).span())
        power = np.abs(np.fft.rfft(audio[: 2 * rate])) ** 2
        frequencies = np.fft.rfftfreq(2 * rate, 1 / rate)
        low = frequencies < 1100
        peaks.append((frequencies[low] * power[low]).sum() / power[low].sum())
    assert peaks[0] == pytest.approx(peaks[1], rel=0.02)
