"""Oracles against closed forms: tones whose masks, places and visibility are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.generator import SeparatedTracks
from avssl_downstream.spatialize.metrics import audio_metrics, explained_energy
from avssl_downstream.spatialize.oracles import best_masks, perfect_eye, true_masks, true_places

from avssl.spatial.stft import StftConfig

RATE, SECONDS = 16000, 1.0
STFT = StftConfig(512, 512, 128)
LEFT, FRONT, UP = (np.eye(3)[index] for index in (0, 2, 1))
"""Gains in Y, Z, X."""
RIGHT = -LEFT


def tone(hertz, quarter=False):
    phase = 2 * torch.pi * hertz * torch.arange(round(SECONDS * RATE)) / RATE
    return 0.1 * (torch.cos(phase) if quarter else torch.sin(phase))


def explained(audio, target):
    return explained_energy([audio_metrics(audio, target, RATE)], ["a"])["explained"]


def scene(*objects, binaural=False):
    """Ground truth of objects `(kind, hertz or 0 if silent, gains, seen)`, and the audio of its scene."""
    sounding = [place for place, each in enumerate(objects) if each[1]]
    sources = torch.stack([tone(objects[place][1]) for place in sounding])
    gains = torch.tensor(np.stack([each[2] for each in objects]), dtype=torch.float32)
    seen = torch.tensor([each[3] for each in objects])
    if binaural:
        ears = torch.stack([1 + gains[:, 0], 1 - gains[:, 0]], 1) / 2
        stems = sources[:, None] * ears[sounding][..., None]
    else:
        stems = sources[:, None] * torch.cat([torch.ones(len(objects), 1), gains], 1)[sounding][..., None]
    truth = SimpleNamespace(
        kinds=[each[0] for each in objects],
        sounding=sounding,
        stems=stems,
        sources=sources,
        sample_rate=RATE,
        seen=lambda times: seen[:, None].expand(-1, len(times)),
        gains=lambda times: gains[:, :, None].expand(-1, -1, len(times)),
    )
    return truth, stems.sum(0)


def test_real_masks_give_tones_from_any_direction_and_complex_ones_everything():
    _, target = scene(("bell", 500, LEFT, True), ("horn", 3000, -UP, True), ("drum", 6000, FRONT, True))
    best = best_masks(target, STFT)
    assert explained(best["best_real"], target) > 0.999
    torch.testing.assert_close(best["best_complex"], target, atol=1e-4, rtol=0)


def test_real_masks_explain_nothing_of_what_is_a_quarter_period_late():
    target = torch.stack([tone(1000), tone(1000, quarter=True), 0 * tone(1), tone(1000)])
    best = best_masks(target, STFT)
    assert explained(best["best_real"], target) == pytest.approx(0.5, abs=0.015)  # X of Y and X; the ends are reflected
    assert explained(best["best_complex"], target) > 0.999


def test_best_masks_of_binaural_audio_keep_the_sum_of_both_ears():
    target = torch.stack([tone(500) + 0.2 * tone(3000), 0.5 * tone(500) + tone(3000)])
    best = best_masks(target, STFT)["best_real"]
    torch.testing.assert_close(best.sum(0), target.sum(0), atol=1e-5, rtol=0)
    assert explained(best, target) > 0.999


def test_a_perfect_eye_places_what_is_seen_and_leaves_the_rest_in_the_middle():
    truth, target = scene(("bell", 500, LEFT, True), ("horn", 3000, 0.6 * FRONT, False))
    eye = perfect_eye(truth, target, STFT)["seen"]
    torch.testing.assert_close(eye[1], target[1], atol=2e-3, rtol=0)
    assert float(eye[3].abs().max()) < 2e-3  # out of the frame
    assert explained(eye, target) == pytest.approx(1 / 1.36, abs=0.01)


def test_a_perfect_eye_leaves_unseen_binaural_sources_in_the_middle():
    truth, target = scene(("bell", 500, LEFT, True), ("horn", 3000, -0.5 * LEFT, False), binaural=True)
    eye = perfect_eye(truth, target, STFT)
    assert list(eye) == ["seen"]
    assert explained(eye["seen"], target) == pytest.approx(1 / 1.25, abs=0.01)
    torch.testing.assert_close(eye["seen"].sum(0), target.sum(0), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (("horn", 0, RIGHT, True), 1.0),  # another kind
        (("bell", 0, RIGHT, False), 1.0),  # a twin out of the frame
        (("bell", 0, RIGHT, True), 0.0),  # a silent twin on the other side: the mean is nowhere
        (("bell", 0, FRONT, True), 0.5),  # a silent twin at a right angle: the mean is half of each
    ],
)
def test_the_observer_of_kinds_does_not_tell_silent_twins_apart(other, share):
    truth, target = scene(("bell", 500, LEFT, True), other)
    found = perfect_eye(truth, target, STFT)
    assert explained(found["observer"], target) == pytest.approx(share, abs=0.01)
    assert explained(found["seen"], target) > 0.99
    if other[2] is FRONT and share < 1:
        assert audio_metrics(found["observer"], target, RATE)["direction_error"] == pytest.approx(45, abs=1)


def spectra(*sources):
    stems = STFT.stft(torch.stack(sources))[None]
    return stems.sum(1), stems


def band(low, high):
    mask = torch.zeros(STFT.bins, 1)
    mask[round(low / RATE * 512) : round(high / RATE * 512)] = 1
    return mask


def tracks(masks, gains):
    mono, _ = spectra(tone(500), tone(3000))
    columns = mono.shape[-1]
    return SeparatedTracks(
        torch.stack(masks)[None].expand(-1, -1, -1, columns),
        torch.tensor(np.stack(gains), dtype=torch.float32)[None, ..., None].expand(-1, -1, -1, columns),
    )


GAINS = torch.tensor(np.stack([LEFT, FRONT]), dtype=torch.float32)[None]


def test_own_masks_at_true_places_are_as_good_as_the_masks():
    mono, stems = spectra(tone(500), tone(3000))
    wanted = torch.einsum("BKO,BKFT->BOFT", GAINS.cfloat(), stems)
    separate = tracks([band(0, 1500), band(1500, 8000)], [UP, UP])
    found = true_places(separate, mono, stems, GAINS)
    assert float((found - wanted).abs().square().sum() / wanted.abs().square().sum()) < 1e-3
    # One track of everything: both sources are as loud, so it is half on the left and half in front.
    together = tracks([torch.ones(STFT.bins, 1)], [UP])
    found = true_places(together, mono, stems, GAINS)
    torch.testing.assert_close(found[:, 0], mono / 2, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[:, 2], mono / 2, rtol=1e-3, atol=1e-3)
    # Several tracks of everything are no louder.
    found = true_places(tracks([torch.ones(STFT.bins, 1)] * 3, [UP] * 3), mono, stems, GAINS)
    torch.testing.assert_close(found[:, 0], mono / 2, rtol=1e-3, atol=1e-3)


def test_true_masks_put_each_source_where_the_generator_puts_it():
    mono, stems = spectra(tone(500), tone(3000))
    # The generator's own masks are mixed up by a quarter; its places are up and right.
    mixed = [0.75 * band(0, 1500) + 0.25 * band(1500, 8000), 0.25 * band(0, 1500) + 0.75 * band(1500, 8000)]
    found = true_masks(tracks(mixed, [UP, RIGHT]), mono, stems)
    low = torch.stack([-0.25 * stems[:, 0], 0.75 * stems[:, 0]], 1)
    high = torch.stack([-0.75 * stems[:, 1], 0.25 * stems[:, 1]], 1)
    error = (found[:, :2] - low - high).abs().square().sum() / (low + high).abs().square().sum()
    assert float(error) < 1e-3
    assert float(found[:, 2].abs().max()) < 1e-4
