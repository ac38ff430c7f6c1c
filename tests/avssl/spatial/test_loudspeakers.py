"""Loudspeaker signals: order, level, symmetry and direction, for plane waves from everywhere."""

from __future__ import annotations

import math

import pytest
import torch

from avssl.spatial.ambisonics import encode, gains, mirror
from avssl.spatial.loudspeakers import decode, decoder, downmix_stereo, layouts, speakers

PLACES = {
    "5.1": {"L": 30, "R": -30, "C": 0, "Ls": 110, "Rs": -110},
    "7.1": {"L": 30, "R": -30, "C": 0, "Lss": 90, "Rss": -90, "Lrs": 135, "Rrs": -135},
}


def around(layout):
    """Gains of all speakers but the LFE for plane waves from the horizon, and the azimuths of the speakers."""
    azimuth = torch.arange(-180, 180).deg2rad()
    names = list(PLACES[layout])
    chosen = [speakers(layout).index(name) for name in names]
    places = torch.tensor([float(PLACES[layout][name]) for name in names]).deg2rad()
    return azimuth, (gains(azimuth, 0.0) @ decoder(layout).T)[:, chosen], places


def test_channels_are_in_itu_order():
    assert layouts() == ["5.1", "7.1"]
    assert speakers("5.1") == ["L", "R", "C", "LFE", "Ls", "Rs"]
    assert speakers("7.1") == ["L", "R", "C", "LFE", "Lss", "Rss", "Lrs", "Rrs"]


@pytest.mark.parametrize("layout", ["5.1", "7.1"])
def test_the_loudest_speaker_is_among_the_nearest_three_and_the_lfe_is_silent(layout, generator):
    for name, place in PLACES[layout].items():
        signals = decode(encode(torch.randn(100, generator=generator), math.radians(place), 0.0), layout)
        loudness = signals.square().sum(-1)
        assert not loudness[3]
        loudest = speakers(layout)[int(loudness.argmax())]
        near = sorted(PLACES[layout], key=lambda other: abs(PLACES[layout][other] - PLACES[layout][name]))[:3]
        assert loudest in near


@pytest.mark.parametrize(("layout", "ripple"), [("5.1", 3.0), ("7.1", 1.2)])
def test_energy_around_the_horizon_is_that_of_w(layout, ripple):
    _, gain, _ = around(layout)
    energy = gain.square().sum(-1)
    assert float(energy.mean()) == pytest.approx(1, abs=1e-4)
    assert (10 * energy.log10()).abs().max() < ripple


@pytest.mark.parametrize(("layout", "mean", "most"), [("5.1", 9.0, 20.0), ("7.1", 3.5, 7.0)])
def test_the_energy_vector_points_to_the_source(layout, mean, most):
    azimuth, gain, places = around(layout)
    energy = gain.square()
    found = torch.atan2(energy @ places.sin(), energy @ places.cos())
    apart = torch.atan2((found - azimuth).sin(), (found - azimuth).cos()).rad2deg().abs()
    assert apart.mean() < mean
    assert apart.max() < most


@pytest.mark.parametrize("layout", ["5.1", "7.1"])
def test_mirrored_foa_swaps_left_and_right_speakers(layout, generator):
    foa = torch.randn(4, 50, generator=generator)
    opposite = {"L": "R", "R": "L"}
    names = speakers(layout)
    swap = [
        names.index(opposite.get(name[0], name[0]) + name[1:] if name[0] in "LR" and name != "LFE" else name)
        for name in names
    ]
    torch.testing.assert_close(decode(mirror(foa, "left-right"), layout), decode(foa, layout)[swap], atol=1e-3, rtol=0)


def test_decoding_is_stateless_over_blocks(generator):
    foa = torch.randn(2, 4, 90, generator=generator)
    joined = torch.cat([decode(piece, "5.1") for piece in foa.split([1, 40, 49], -1)], -1)
    torch.testing.assert_close(joined, decode(foa, "5.1"))


def test_stereo_downmix_is_two_cardioids(generator):
    voice = torch.randn(100, generator=generator)
    left, right = downmix_stereo(encode(voice, math.pi / 2, 0.0))
    torch.testing.assert_close(left, voice)
    assert right.abs().max() < 1e-6
    left, right = downmix_stereo(encode(voice, 0.0, 0.0))
    torch.testing.assert_close(left, right)


def test_unknown_layouts_are_errors():
    with pytest.raises(ValueError, match="loudspeaker layout among 5.1, 7.1, got '9.1'"):
        decode(torch.zeros(4, 10), "9.1")
    with pytest.raises(ValueError, match=r"got \(2, 10\)"):
        decode(torch.zeros(2, 10), "5.1")
