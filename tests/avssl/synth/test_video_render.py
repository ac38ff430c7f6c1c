from dataclasses import replace

import numpy as np
import pytest

from avssl.synth import video_render
from avssl.synth.annotations.sphere import truth
from avssl.synth.projection.tangent_plane import stamp, tangent_basis
from avssl.synth.scene import Format, describe
from avssl.synth.trajectories import Oscillation, Path

FORM = Format(seconds=0.25, width=512)
STILL = Oscillation(0.0, 0.0, 0.0)


def still(azimuth, elevation, distance=2.0):
    """A path that stays where it is, degrees."""
    return Path(float(np.radians(azimuth)), float(np.radians(elevation)), distance, 0.0, STILL, STILL, STILL)


def only(scene, *things):
    return replace(scene, things=tuple(replace(thing, number=k) for k, thing in enumerate(things)))


def pixel_rays(width):
    azimuth = np.pi * (1 - 2 * (np.arange(width) + 0.5) / width)
    elevation = np.pi / 2 * (1 - 2 * (np.arange(width // 2) + 0.5) / (width // 2))
    azimuth, elevation = np.meshgrid(azimuth, elevation)
    flat = np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], -1), flat


@pytest.mark.parametrize("azimuth", [0, 75, 180, -179])
@pytest.mark.parametrize("elevation", [0, 40, 80, 90, -65])
def test_a_disc_has_its_true_size_and_place_seam_and_poles_included(disc, azimuth, elevation):
    radius = np.radians(15)
    frame = np.zeros((512, 1024, 3), np.uint8)
    angles = np.radians([azimuth, elevation, 33.0])
    stamp(frame, disc, tangent_basis(*map(np.asarray, angles)), float(np.tan(radius)))
    rays, area = pixel_rays(1024)
    weight = frame[..., 0] / 255 * area
    solid_angle = weight.sum() * (2 * np.pi / 1024) ** 2
    assert solid_angle == pytest.approx(2 * np.pi * (1 - np.cos(radius)), rel=0.03)
    centre = (rays * weight[..., None]).sum((0, 1))
    wanted = tangent_basis(*map(np.asarray, angles))[2]
    assert np.degrees(np.arccos(centre @ wanted / np.linalg.norm(centre))) < 0.2


def test_a_image_is_upright_and_not_mirrored():
    quarter = np.zeros((64, 64, 4), np.uint8)
    quarter[:32, 32:] = 255  # above and to the right of the centre
    frame = np.zeros((256, 512, 3), np.uint8)
    stamp(frame, quarter, tangent_basis(*map(np.asarray, (0.0, 0.0, 0.0))), 0.3)
    assert frame[:128, 256:].any()
    assert not frame[130:].any()
    assert not frame[:, :254].any()


@pytest.mark.parametrize("azimuth", [0, 90, 179, -178])
@pytest.mark.parametrize("index", range(6))
def test_the_box_of_the_truth_holds_exactly_the_drawn_object(grey, azimuth, index):
    scene = describe(1, index)
    scene = only(scene, replace(scene.things[0], path=still(azimuth, 20)))
    frame = next(video_render.render_frames(scene, FORM)).astype(int)
    row = truth(scene, FORM).slice(0, 1).to_pylist()[0]
    turned = np.roll(frame, FORM.width // 2 - round(row["left"] * FORM.width), axis=1)
    drawn = np.abs(turned - 128).max(-1) > 40
    columns, rows = np.flatnonzero(drawn.any(0)), np.flatnonzero(drawn.any(1))
    assert columns[0] == pytest.approx(FORM.width / 2, abs=2.5)
    assert columns[-1] + 1 - columns[0] == pytest.approx((row["right"] - row["left"]) * FORM.width, abs=3.5)
    assert rows[0] == pytest.approx(row["top"] * FORM.width / 2, abs=2.5)
    assert rows[-1] + 1 == pytest.approx(row["bottom"] * FORM.width / 2, abs=2.5)


def test_the_nearer_object_hides_the_farther_and_the_truth_says_how_much(grey):
    scene = describe(1, 0)
    look = replace(scene.things[0].look, radius=0.5, pulse=0.0, wobble=0.0, tilt=0.0, aspect=1.0)
    far = replace(scene.things[0], kind="face", look=replace(look, radius=1.0), path=still(0, 0, 4.0))
    near = replace(far, kind="face", look=look, path=still(6, 0, 2.0))
    rows = truth(only(scene, far, near), FORM).slice(0, 2).to_pylist()
    alone, both = (next(video_render.render_frames(only(scene, *each), FORM)) for each in ((near,), (far, near)))
    solo = next(video_render.render_frames(only(scene, far), FORM))
    silhouette = (solo != 128).any(-1)
    hidden = silhouette & (alone != 128).any(-1)
    near_off, far_off = (np.abs(both[hidden].astype(int) - each[hidden]).mean() for each in (alone, solo))
    assert near_off < 6 < 20 < far_off  # the edge is mixed of both
    assert rows[0]["visible"] == pytest.approx(1 - hidden.sum() / silhouette.sum(), abs=0.08)
    assert rows[1]["visible"] == 1


def test_objects_pulse_with_the_loudness_of_their_own_audio():
    scene = describe(1, 0)
    drum = replace(scene.things[0], kind="drum", voice=replace(scene.things[0].voice, rate=2.5, pitch=100.0))
    drum = replace(drum, look=replace(drum.look, pulse=0.3), path=still(0, 0))
    size = drum.track(Format(seconds=4.0)).tangent
    spectrum = np.abs(np.fft.rfft(size - size.mean()))
    assert np.fft.rfftfreq(len(size), 1 / 16)[spectrum.argmax()] == pytest.approx(2.5, abs=0.3)
    assert size.max() / size.min() > 1.1
