"""Metrics of generated audio: energy explained in closed form, unrecorded Z, envelopes that do not see direction."""

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.evaluation_rows import level_matched
from avssl_downstream.spatialize.generator import mix_down, unspatialized
from avssl_downstream.spatialize.metrics import ENERGY, ERROR, audio_metrics, explained_energy

from avssl.spatial.ambisonics import encode
from avssl.spatial.energy_map import POINTS, emd, energy_towards, equal_area_grid

RATE = 16000


def noise(channels=1, seconds=1.0, seed=0):
    return 0.1 * torch.randn(channels, round(seconds * RATE), generator=torch.Generator().manual_seed(seed))


def explained(audio, target, **options):
    return explained_energy([audio_metrics(audio, target, RATE, **options)], ["a"])["explained"]


@pytest.mark.parametrize("gain", [0.0, 0.5, 1.0, -1.0, 2.0])
def test_a_gain_on_the_generated_channels_explains_one_less_its_squared_error(gain):
    field, ears = noise(4), noise(2)
    order_2 = noise(9)
    mid, side = ears.mean(0), (ears[0] - ears[1]) / 2
    for target, audio in (
        (field, torch.cat([field[:1], gain * field[1:]])),
        (order_2, torch.cat([order_2[:4], gain * order_2[4:]])),
        (ears, torch.stack([mid + gain * side, mid - gain * side])),
    ):
        assert explained(audio, target) == pytest.approx(1 - (1 - gain) ** 2, abs=1e-4)


@pytest.mark.parametrize("channels", [2, 4, 9])
def test_silence_explains_nothing_and_the_target_all(channels):
    target = noise(channels)
    assert explained(unspatialized(mix_down(target)[None], len(target)), target) == pytest.approx(0, abs=1e-6)
    assert explained(target, target) == 1.0


def test_mono_in_all_channels_of_a_diffuse_field_is_worse_than_silence():
    # Independent channels of equal power: the error of mono is twice the energy.
    target = noise(4, seconds=4.0)
    assert explained(target[:1].expand(4, -1), target) == pytest.approx(-1.0, abs=0.05)


def test_energy_explained_does_not_depend_on_the_normalisation():
    target = noise(2)
    audio = 0.3 * target + 0.1 * noise(2, seed=1)
    assert explained(audio, target, normalisation="peak") == explained(audio, target)


def test_energy_explained_is_one_minus_the_ratio_of_sums():
    clips = [{ERROR: 1.0, ENERGY: 4.0}, {ERROR: 3.0, ENERGY: 4.0}, {ERROR: 0.0, ENERGY: 0.0}]
    found = explained_energy(clips, ["a", "b", "c"])
    assert found["explained"] == 0.5
    assert (found["explained_low"], found["explained_high"]) == (0.25, 0.75)  # one of two recordings, twice
    same = explained_energy(clips, ["a", "a", "a"])
    assert (same["explained_low"], same["explained_high"]) == (0.5, 0.5)  # one recording has no spread
    assert explained_energy([{ERROR: 0.0, ENERGY: 0.0}], ["a"]) == {}


def wxy(height=0.0):
    """A recording without Z, and the same with Z = 0.6 W generated; both have the right Y and X."""
    target = encode(noise()[0], torch.tensor(0.7), torch.tensor(0.0))
    target[2] = height * noise(seed=3)[0]
    audio = target.clone()
    audio[2] = 0.6 * audio[0]
    return audio, target


@pytest.mark.parametrize(("height", "labelled"), [(0.0, False), (1e-3, True)])
def test_the_unrecorded_height_counts_in_no_metric(height, labelled):
    audio, target = wxy(height)
    grid = equal_area_grid(POINTS)
    assert emd(energy_towards(audio, *grid), energy_towards(target, *grid)).degrees > 10
    metrics = audio_metrics(audio, target, RATE, silent_height=labelled)
    perfect = audio_metrics(target, target, RATE, silent_height=labelled)
    assert metrics == perfect
    zero = ("stft", "mag", "published_mag", ERROR, "legacy_emd", "legacy_stft")
    assert [metrics[name] for name in zero] == [0.0] * len(zero)
    assert metrics["emd_degrees"] == pytest.approx(0, abs=1e-6)
    assert metrics["direction_error"] == pytest.approx(0, abs=0.05)
    assert explained(audio, target, silent_height=labelled) == 1.0


def test_published_means_of_a_recording_without_height_are_over_three_channels():
    target, error = encode(noise()[0], torch.tensor(0.7), torch.tensor(0.0)), noise(4, seed=2)
    target[2] = 0
    error[0] = 0
    whole = target.clone()
    whole[2] = noise(seed=4)[0]  # recorded
    three = audio_metrics(target + error, target, RATE)["legacy_stft"]
    error[2] = 0
    assert three == pytest.approx(4 / 3 * audio_metrics(whole + error, whole, RATE)["legacy_stft"], rel=1e-4)


def test_a_height_that_was_recorded_counts():
    target = encode(noise()[0], torch.tensor(0.7), torch.tensor(0.4))
    audio = target.clone()
    audio[2] = -audio[2]
    assert audio_metrics(audio, target, RATE)["direction_error"] == pytest.approx(2 * np.degrees(0.4), abs=0.5)


def test_envelopes_of_a_level_matched_copy_are_those_of_either_side():
    wave = noise()[0]
    left, right = (encode(wave, torch.tensor(azimuth), torch.tensor(0.0)) for azimuth in (1.0, -1.0))
    for target in (left, right):
        metrics = audio_metrics(level_matched(target), target, RATE)
        assert metrics["env"] == pytest.approx(0, abs=1e-6)  # a wrong sign has the right envelope
    # Y has the wrong sign on the right, whose energy share is sin(1)^2: the error is four times that.
    assert explained(level_matched(right), right) == pytest.approx(1 - 4 * np.sin(1.0) ** 2, abs=1e-4)
