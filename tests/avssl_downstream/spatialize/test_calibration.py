"""Calibration of generated audio, in closed form; that of a head is in test_head.py."""

import pytest
import torch
from avssl_downstream.spatialize.calibration import Calibration, CalibrationClip, fit_calibration
from avssl_downstream.spatialize.generator import unspatialized

SAMPLES = 4000


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def foa(seed):
    """Generated ambisonics and the W that it was made of."""
    made = noise(4, SAMPLES, seed=seed)
    return made, made[:1]


def clip(seed, level, gains, present=(0, 1, 2, 3), scale=1.0):
    """Its truth is a calibration of what was generated."""
    made, audio = (scale * each for each in foa(seed))
    target = Calibration(level, gains)(made, audio)
    return CalibrationClip(made, audio, target, present)


@pytest.mark.parametrize(("channels", "inputs"), [(2, 1), (4, 1), (9, 4)])
def test_level_and_gains_are_found_again(channels, inputs):
    gains = torch.zeros(channels, inputs)
    kept = {2: 0, 4: 1, 9: 4}[channels]
    gains[kept:] = noise(channels - kept, inputs, seed=7)
    clips = []
    for seed in range(3):
        audio = noise(inputs, SAMPLES, seed=seed)
        made = unspatialized(audio, channels).clone()
        made[kept:] += noise(channels - kept, SAMPLES, seed=50 + seed)
        target = Calibration(0.3, gains)(made, audio)
        clips.append(CalibrationClip(made, audio, target, range(channels)))
    found = fit_calibration(clips)
    assert found.level == pytest.approx(0.3, abs=1e-6)
    torch.testing.assert_close(found.gains, gains, atol=1e-6, rtol=0)
    assert not bool(found.gains[:kept].any())
    again = found(clips[0].generated, clips[0].audio)
    torch.testing.assert_close(again, clips[0].target, atol=1e-5, rtol=0)


def test_kept_channels_are_bit_for_bit_those_of_the_input():
    made, audio = foa(0)
    found = fit_calibration([clip(0, 0.5, torch.tensor([[0.0], [0.1], [0.2], [0.3]]))])
    assert torch.equal(found(made, audio)[:1], audio)
    windows = found(made.expand(3, -1, -1), audio.expand(3, -1, -1))
    torch.testing.assert_close(windows[1], found(made, audio))


def test_on_its_clips_a_calibration_is_no_worse_than_the_generator_or_silence():
    clips = []
    for seed in range(6):
        made, audio = foa(seed)
        target = torch.cat([audio, 0.2 * made[1:] + 0.1 * audio + noise(3, SAMPLES, seed=90 + seed)])
        clips.append(CalibrationClip(made, audio, target, (0, 1, 2, 3)))
    found = fit_calibration(clips)

    def error(calibration):
        return sum(
            float((calibration(each.generated, each.audio) - each.target).square().sum() / each.audio.square().sum())
            for each in clips
        )

    nothing = torch.zeros(4, 1)
    assert error(found) <= min(error(Calibration(1.0, nothing)), error(Calibration(0.0, nothing)))


def test_clips_count_alike_however_loud_they_are():
    loud, quiet = torch.tensor([[0.0], [1.0], [0.0], [0.0]]), torch.zeros(4, 1)
    found = fit_calibration([clip(0, 0.0, loud, scale=100.0), clip(1, 0.0, quiet)])
    assert float(found.gains[1]) == pytest.approx(0.5, abs=0.05)


def test_a_channel_that_was_not_recorded_does_not_count():
    gains = torch.tensor([[0.0], [0.1], [0.4], [0.2]])
    unrecorded = clip(0, 1.0, gains, present=(0, 1, 3))
    unrecorded.target[2] = 0
    found = fit_calibration([unrecorded, clip(1, 1.0, gains)])
    torch.testing.assert_close(found.gains, gains, atol=1e-5, rtol=0)
    alone = fit_calibration([unrecorded])
    assert float(alone.gains[2]) == 0.0


def test_silence_is_one_line():
    quiet = torch.zeros(4, SAMPLES)
    with pytest.raises(ValueError, match="expected audible training clips for the calibration, got silence"):
        fit_calibration([CalibrationClip(quiet, quiet[:1], quiet, (0, 1, 2, 3))])
