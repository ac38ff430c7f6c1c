"""Ambisonics against properties of plane waves and other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soundfile
import torch
from scipy.spatial.transform import Rotation

from avssl.spatial.ambisonics import (
    angle_between,
    angles,
    beamform,
    convert,
    direction,
    encode,
    gains,
    intensity_direction,
    mirror,
    rotate,
    rotation,
    rotation_to_front,
    stereo,
)

W, Y, Z, X = range(4)


@pytest.fixture
def waves(directions, generator):
    return encode(torch.randn(1000, 300, generator=generator), *directions)


def test_front_left_and_up_are_encoded_in_x_y_z():
    half = math.pi / 2
    expected = {
        (0.0, 0.0): [1, 0, 0, 1],
        (half, 0.0): [1, 1, 0, 0],
        (0.3, half): [1, 0, 1, 0],
        (math.pi, 0.0): [1, 0, 0, -1],
    }
    for (azimuth, elevation), channels in expected.items():
        torch.testing.assert_close(gains(azimuth, elevation), torch.tensor(channels).float(), atol=1e-6, rtol=0)


def test_gains_agree_with_spaudiopy(directions):
    spaudiopy = pytest.importorskip("spaudiopy")
    azimuth, elevation = (angle.double().numpy() for angle in directions)
    harmonics = spaudiopy.sph.sh_matrix(1, azimuth, np.pi / 2 - elevation, "real")
    # Theirs are orthonormal: N3D / sqrt(4 pi).
    n3d = torch.from_numpy(harmonics * np.sqrt(4 * np.pi)).float()
    ours = gains(*directions).unsqueeze(-1)
    torch.testing.assert_close(convert(ours, "ambix", "acn-n3d").squeeze(-1), n3d, atol=1e-6, rtol=0)


def test_angles_invert_direction(directions):
    azimuth, elevation = angles(direction(*directions))
    assert angle_between(azimuth, elevation, *directions).max() < 1e-6


def test_angle_between_is_exact_when_tiny_and_when_opposite():
    assert angle_between(1.0, 0.5, 1.0, 0.5) == 0
    torch.testing.assert_close(angle_between(0.0, 0.0, 1e-4, 0.0), torch.tensor(1e-4))
    torch.testing.assert_close(angle_between(0.0, 0.2, math.pi, -0.2), torch.tensor(math.pi))


def test_a_wave_rotated_to_the_front_is_in_w_and_x_only(waves, directions):
    rotated = rotate(waves, rotation_to_front(*directions))
    torch.testing.assert_close(rotated[:, X], rotated[:, W], atol=1e-5, rtol=0)
    assert rotated[:, [Y, Z]].abs().max() < 1e-5


def test_legacy_rotation_of_avsa_misses_the_front_by_fifteen_degrees_on_average(generator):
    # Its crop centres: x anywhere, y from 0.33 to 0.66 of the frame.
    azimuth = (torch.rand(20000, generator=generator) * 2 - 1) * torch.pi
    elevation = (1 - 2 * (0.33 + 0.33 * torch.rand(20000, generator=generator))) * torch.pi / 2
    found = rotation_to_front(azimuth, elevation, legacy="avsa") @ direction(azimuth, elevation).unsqueeze(-1)
    miss = angle_between(*angles(found.squeeze(-1)), 0.0, 0.0).rad2deg()
    assert miss.mean() == pytest.approx(14.8, abs=0.5)
    assert miss.median() == pytest.approx(9.7, abs=0.5)
    assert miss.max() == pytest.approx(61, abs=1)


def test_intensity_is_as_long_as_the_energy_and_points_at_the_source(waves, directions):
    azimuth, elevation, diffuseness = intensity_direction(waves, 24000)
    assert angle_between(azimuth, elevation, *directions).rad2deg().max() < 0.1
    assert diffuseness.max() < 1e-5


def test_intensity_is_limited_to_its_band():
    time = torch.arange(24000) / 24000
    left = encode(torch.sin(2 * torch.pi * 1000 * time), math.pi / 2, 0.0)
    right = encode(5 * torch.sin(2 * torch.pi * 6000 * time), -math.pi / 2, 0.0)
    assert intensity_direction(left + right, 24000)[0] == pytest.approx(math.pi / 2, abs=1e-3)
    assert intensity_direction(left + right, 24000, 5000, 7000)[0] == pytest.approx(-math.pi / 2, abs=1e-3)


def test_silence_has_no_direction_and_a_diffuse_field_is_diffuse(generator):
    azimuth, elevation, diffuseness = intensity_direction(torch.zeros(2, 4, 1000), 24000)
    assert azimuth.isnan().all()
    assert elevation.isnan().all()
    assert (diffuseness == 1).all()
    noise = torch.randn(4, 48000, generator=generator) * torch.tensor([[1.0], [3**-0.5], [3**-0.5], [3**-0.5]])
    assert intensity_direction(noise, 24000)[2] > 0.95


def test_yaw_adds_to_azimuth_pitch_raises_the_front_roll_lifts_the_left():
    front, left = torch.eye(3)[0], torch.eye(3)[1]
    assert angles(rotation(0.4) @ direction(1.0, 0.3))[0] == pytest.approx(1.4)
    assert angles(rotation(0.0, 0.4) @ front)[1] == pytest.approx(0.4)
    assert angles(rotation(0.0, 0.0, 0.4) @ left)[1] == pytest.approx(0.4)


def test_rotation_agrees_with_scipy(generator):
    turns = (torch.rand(50, 3, generator=generator, dtype=torch.float64) - 0.5) * 6
    ours = rotation(*turns.unbind(-1))
    theirs = Rotation.from_euler("ZYX", (turns * torch.tensor([1, -1, 1])).numpy()).as_matrix()
    torch.testing.assert_close(ours, torch.from_numpy(theirs))


def test_rotation_moves_sources(directions, generator):
    signal = torch.randn(1000, 50, generator=generator)
    matrix = rotation(0.7, -0.4, 1.1)
    moved = angles((matrix @ direction(*directions).unsqueeze(-1)).squeeze(-1))
    torch.testing.assert_close(rotate(encode(signal, *directions), matrix), encode(signal, *moved), atol=1e-5, rtol=0)


def test_rotations_invert_and_compose(waves):
    one, other = rotation(0.3, 0.9, -2.0), rotation(-1.0, 0.2, 0.5)
    torch.testing.assert_close(rotate(rotate(waves, one), one.mT), waves, atol=1e-5, rtol=0)
    torch.testing.assert_close(rotate(rotate(waves, one), other), rotate(waves, other @ one), atol=1e-5, rtol=0)


def test_broadcast_rotations_equal_single_rotations(generator):
    foa = torch.randn(3, 4, 100, generator=generator)
    matrices = rotation(torch.rand(3, 5, generator=generator) * 6, torch.rand(3, 5, generator=generator))
    together = rotate(foa.unsqueeze(1), matrices)
    apart = torch.stack([torch.stack([rotate(foa[i], matrices[i, k]) for k in range(5)]) for i in range(3)])
    torch.testing.assert_close(together, apart)


def test_rotation_stays_float32_inside_autocast(waves):
    matrix = rotation(0.3, 0.9, -2.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(rotate(waves, matrix), rotate(waves, matrix))
        inside = rotate(waves, matrix)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, rotate(waves, matrix))


@pytest.mark.parametrize(
    ("axis", "image"),
    [
        ("left-right", lambda azimuth, elevation: (-azimuth, elevation)),
        ("up-down", lambda azimuth, elevation: (azimuth, -elevation)),
        ("front-back", lambda azimuth, elevation: (math.pi - azimuth, elevation)),
    ],
)
def test_mirror_moves_sources_to_their_image_and_back(waves, directions, axis, image):
    torch.testing.assert_close(mirror(waves, axis), encode(waves[:, W], *image(*directions)), atol=2e-6, rtol=1e-5)
    assert torch.equal(mirror(mirror(waves, axis), axis), waves)


def test_left_right_mirror_swaps_the_stereo_channels(waves):
    assert torch.equal(stereo(mirror(waves, "left-right")), stereo(waves).flip(-2))


def test_stereo_of_a_left_source_is_louder_on_the_left():
    left, right = stereo(encode(torch.ones(5), math.pi / 2, 0.0))
    torch.testing.assert_close(left, torch.full((5,), 2.0))
    torch.testing.assert_close(right, torch.zeros(5))


@pytest.mark.parametrize(
    ("pattern", "front", "side", "behind"),
    [
        ("projection", 2, 1, 0),
        ("cardioid", 1, 0.5, 0),
        ("hypercardioid", 1, 0.25, -0.5),
        ("dipole", 1, 0, -1),
    ],
)
def test_beams_have_their_polar_pattern(waves, directions, pattern, front, side, behind):
    azimuth, elevation = directions
    signal = waves[:, W]
    for gain, towards in (
        (front, (azimuth, elevation)),
        (side, (azimuth + math.pi / 2, elevation * 0)),
        (behind, (azimuth + math.pi, -elevation)),
    ):
        torch.testing.assert_close(beamform(waves, *towards, pattern), gain * signal, atol=1e-5, rtol=1e-5)


def test_a_beam_equals_the_front_beam_after_rotation(waves, directions):
    other = directions[0] + 0.5, directions[1] * 0.3
    rotated = rotate(waves, rotation_to_front(*other))
    torch.testing.assert_close(beamform(waves, *other), beamform(rotated, 0.0, 0.0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("layout", ["ambix", "acn-n3d", "fuma"])
def test_layout_conversion_round_trips(waves, layout):
    there = convert(waves, "ambix", layout)
    torch.testing.assert_close(convert(there, layout, "ambix"), waves, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(convert(there, layout, "fuma"), convert(waves, "ambix", "fuma"))


def test_layouts_have_their_order_and_gain():
    foa = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    assert convert(foa, "ambix", "fuma").flatten().tolist() == pytest.approx([0.5**0.5, 4, 2, 3])
    assert convert(foa, "ambix", "acn-n3d").flatten().tolist() == pytest.approx([1, *(x * 3**0.5 for x in (2, 3, 4))])


def test_a_path_moves_the_source_sample_by_sample(generator):
    signal = torch.randn(2, 400, generator=generator)
    azimuth = torch.linspace(0, 3, 400).expand(2, -1)
    moving = encode(signal, azimuth, torch.full_like(azimuth, 0.2))
    for sample in (0, 137, 399):
        expected = encode(signal[:, sample : sample + 1], azimuth[:, sample], 0.2)
        torch.testing.assert_close(moving[..., sample : sample + 1], expected)


def test_gradients_are_correct(generator):
    signal = torch.randn(20, generator=generator, dtype=torch.float64, requires_grad=True)
    azimuth, elevation = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.4, -0.3))

    def chain(signal, azimuth, elevation):
        foa = rotate(mirror(encode(signal, azimuth, elevation), "up-down"), rotation(azimuth, elevation, 0.3))
        fuma = convert(foa, "ambix", "fuma")
        beam = beamform(foa, elevation, azimuth, "cardioid")
        return beam, stereo(fuma), *intensity_direction(foa + 0.1 * foa.flip(-2), 24000, 1000, 12000)

    assert torch.autograd.gradcheck(chain, (signal, azimuth, elevation))


def test_audio_that_is_not_first_order_is_an_error():
    with pytest.raises(ValueError, match=r"order 1, shape \(\.\.\., 4, samples\), got \(2, 100\)"):
        rotate(torch.zeros(2, 100), rotation(0.0))
    with pytest.raises(ValueError, match="expected a mirror axis among left-right, .* got 'x'"):
        mirror(torch.zeros(4, 9), "x")
    with pytest.raises(ValueError, match="expected a channel layout among .* got 'acn'"):
        convert(torch.zeros(4, 9), "acn", "ambix")
    with pytest.raises(ValueError, match="9, got 7"):
        encode(torch.zeros(9), torch.zeros(7), torch.zeros(7))


def test_a_recorded_metronome_in_front_has_azimuth_0(media):
    samples, rate = soundfile.read(media("free/ambisonics/AmbixMetronome.caf"), dtype="float32", always_2d=True)
    foa = torch.from_numpy(samples.T)
    level = foa.square().mean(-1).sqrt()
    assert (foa[X] - foa[W]).square().mean().sqrt() < 0.01 * level[W]
    assert level[Y] < 0.03 * level[W]
    azimuth, elevation, diffuseness = intensity_direction(foa, rate)
    assert angle_between(azimuth, elevation, 0.0, 0.0).rad2deg() < 2
    assert diffuseness < 0.01
