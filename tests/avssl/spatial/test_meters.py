"""Sound heard block by block measures as the whole does."""

from __future__ import annotations

import pytest
import torch

from avssl.spatial.ambisonics import encode
from avssl.spatial.distances import (
    direction_error,
    envelope_distance,
    interaural_error,
    log_spectral_distance,
    magnitude_distance,
    phase_distance,
    snr,
    stft_distance,
)
from avssl.spatial.energy import emd, energy_towards, equal_area_grid
from avssl.spatial.meters import DistanceMeter
from avssl.spatial.spectrum import StftConfig
from avssl.spatial.streamed import Spectra, Stretches

RATE = 8000


def measured(predicted, target, cuts, **options):
    meter = DistanceMeter(RATE, **options)
    ends = [*cuts, predicted.shape[-1]]
    for begin, end in zip([0, *cuts], ends, strict=True):
        meter.add(predicted[:, begin:end], target[:, begin:end])
    return meter.result()


@pytest.mark.parametrize("pad", ["reflect", "constant", "none"])
@pytest.mark.parametrize("sizes", [(512, 400, 160), (256, 256, 128), (64, 50, 50)])
def test_spectra_of_blocks_are_the_spectrum(generator, pad, sizes):
    sound, config = torch.randn(2, 5001, generator=generator), StftConfig(*sizes, pad)
    for lengths in ([5001], [3, 200, 57, 1, 4740], [1000] * 5 + [1]):
        stream = Spectra(config)
        pieces = [stream.add(block) for block in sound.split(lengths, -1)] + [stream.finish()]
        found = torch.cat([piece for piece in pieces if piece is not None], -1)
        torch.testing.assert_close(found, config.stft(sound), atol=1e-4, rtol=0)


def test_stretches_are_all_of_the_sound_with_what_lies_around(generator):
    sound = torch.randn(1, 1000, generator=generator)
    stream = Stretches(100, 30)
    pieces = [stream.add(block) for block in sound.split([10, 250, 333, 407], -1)] + [stream.finish()]
    found = [piece for piece in pieces if piece is not None]
    torch.testing.assert_close(torch.cat([piece[:, 30:-30] for piece in found], -1), sound)
    begun = 0
    for piece in found:
        around = torch.nn.functional.pad(sound, (30, 30))[:, begun : begun + piece.shape[1]]
        torch.testing.assert_close(piece, around)
        begun += piece.shape[1] - 60


def test_two_ears_measure_in_blocks_as_in_one_piece(generator):
    target = torch.randn(2, 25 * RATE + 77, generator=generator)
    predicted = target + 0.5 * torch.randn(target.shape, generator=generator)
    for cuts in ([], [5, 1000, 90001]):
        found = measured(predicted, target, cuts)
        whole = {
            "stft": stft_distance(predicted, target),
            "mag": magnitude_distance(predicted, target),
            "published_mag": 2 * stft_distance(predicted, target),
            "snr": snr(predicted, target),
            "log_spectral": log_spectral_distance(predicted, target),
            "phase": phase_distance(predicted, target),
        }
        apart = interaural_error(predicted, target, RATE)
        whole |= {"level_error": apart.level, "time_error": 1e6 * apart.time, "interaural_phase_error": apart.phase}
        assert found.keys() == {*whole, "env"}
        for name, value in whole.items():
            assert found[name] == pytest.approx(float(value), rel=1e-4), name
        assert found["env"] == pytest.approx(float(envelope_distance(predicted, target)), rel=1e-3)


def test_a_field_measures_in_blocks_as_in_one_piece(generator):
    voice = torch.randn(2, 3 * RATE, generator=generator)
    target = encode(voice[0], 0.5, 0.2) + encode(voice[1], -1.5, 0.0)
    predicted = encode(voice[0], 0.9, 0.0) + encode(voice[1], -1.0, 0.3)
    grid = equal_area_grid(252)
    seconds = [(predicted[:, at : at + RATE], target[:, at : at + RATE]) for at in range(0, 3 * RATE, RATE)]
    maps = [emd(*(energy_towards(each, *grid) for each in pair)).degrees for pair in seconds]
    weights = [float(pair[1].square().sum()) for pair in seconds]
    expected = sum(a * b for a, b in zip(maps, weights, strict=True)) / sum(weights)
    for cuts in ([], [123, 9000]):
        found = measured(predicted, target, cuts)
        assert found["direction_error"] == pytest.approx(float(direction_error(predicted, target, RATE)), rel=1e-4)
        assert found["emd"] == pytest.approx(expected, rel=1e-4)
    assert "emd" not in measured(predicted, target, [], energy_maps=False)


def test_silence_has_numbers_or_none_but_no_crash():
    found = measured(torch.zeros(4, 2 * RATE), torch.zeros(4, 2 * RATE), [])
    assert found["stft"] == found["snr"] == 0
    assert found["direction_error"] != found["direction_error"]
    short = measured(torch.ones(2, 600), torch.ones(2, 600), [])
    assert short["level_error"] != short["level_error"]
    assert short["stft"] == 0


def test_blocks_that_change_are_refused():
    meter = DistanceMeter(RATE)
    meter.add(torch.zeros(2, 900), torch.zeros(2, 900))
    with pytest.raises(ValueError, match=r"expected blocks \(2, samples\), got \(4, 900\)"):
        meter.add(torch.zeros(4, 900), torch.zeros(4, 900))
    with pytest.raises(ValueError, match="more than half of one"):
        DistanceMeter(RATE).result()
