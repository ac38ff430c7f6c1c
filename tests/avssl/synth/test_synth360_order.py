"""A world whose sound field has the second order: it begins with the first-order one, and the rest is the truth."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from avssl.config import DataConfig
from avssl.datasets.manifest import read_manifest
from avssl.spatial.ambisonics import angles, encode
from avssl.synth.acoustics.foa_render import direct, early, render_audio
from avssl.synth.acoustics.room import background, draw_room, tail
from avssl.synth.output_folder import SETTINGS
from avssl.synth.scene import Format, describe
from avssl.synth.synth360 import Synth360, Synth360Options, synth360
from avssl.train import data_source as worlds

FORM = Format(seconds=1.0)
RATE = FORM.sample_rate


def test_every_part_of_a_scene_begins_with_its_first_order():
    scene = describe(3, 1)
    thing, source = scene.things[0], np.random.default_rng(0).standard_normal(FORM.span().samples).astype(np.float32)
    for first, second in (
        [direct(thing, source, FORM, order) for order in (1, 2)],
        [early(scene.room, thing, source, FORM, order) for order in (1, 2)],
        [tail(scene.room, source, RATE, order) for order in (1, 2)],
        [background(scene.room, RATE, RATE, order) for order in (1, 2)],
    ):
        assert second.shape == (9, first.shape[1])
        # Products of matrices of other sizes may be summed in another order.
        np.testing.assert_allclose(first, second[:4], rtol=1e-5, atol=1e-6 * np.abs(first).max())


def test_a_whole_scene_is_the_same_but_for_its_level():
    for index in range(3):
        first, second = (render_audio(describe(3, index), FORM, order) for order in (1, 2))
        gain = np.vdot(first, second[:4]) / np.vdot(first, first)
        assert np.abs(gain * first - second[:4]).max() < 1e-6
        assert gain <= 1 + 1e-6
        assert np.abs(second).max() <= 0.9 + 1e-6


def test_a_single_source_without_a_room_is_a_plane_wave_of_second_order():
    scene = describe(3, 0)
    thing = next(each for each in scene.things if each.sounding)
    alone = replace(scene, things=(thing,), room=scene.room.anechoic())
    heard = torch.from_numpy(render_audio(alone, FORM, 2))
    times = FORM.sample_times()
    azimuth, elevation, _ = (torch.from_numpy(np.asarray(each)) for each in thing.path.at(times))
    x, y = torch.stack([azimuth.cos(), azimuth.sin()]) * elevation.cos()
    z, root = elevation.sin(), 3**0.5
    gains = [root * x * y, root * y * z, (3 * z**2 - 1) / 2, root * x * z, root / 2 * (x**2 - y**2)]
    for channel, gain in enumerate(gains, 4):
        assert float((heard[channel] - heard[0] * gain).abs().max()) < 1e-5


def test_reflections_come_from_one_side_in_all_channels():
    room = replace(draw_room(np.random.default_rng(0)), reflection=(0.0, 0.0, 0.5, 0.0, 0.0, 0.0))
    impulse = np.zeros(FORM.span().samples, np.float32)
    impulse[RATE // 2] = 1
    heard = torch.from_numpy(early(room, describe(3, 0).things[0], impulse, FORM, 2).sum(1))
    azimuth, elevation = angles(heard[[3, 1, 2]])
    wanted = encode(heard[:1], azimuth, elevation, order=2)[:, 0]
    torch.testing.assert_close(heard, wanted, atol=2e-3 * float(heard[0]), rtol=0)


def test_tail_and_background_are_diffuse_in_the_second_order_too():
    noise = background(draw_room(np.random.default_rng(2)), 4 * RATE, RATE, 2).astype(float)
    assert (noise**2).mean(1) == pytest.approx([1, *[1 / 3] * 3, *[1 / 5] * 5], rel=2e-3)
    assert np.abs(np.corrcoef(noise) - np.eye(9)).max() < 0.1
    click = np.zeros(RATE, np.float32)
    click[0] = 1
    room = replace(draw_room(np.random.default_rng(1)), reverberation=0.4, critical_distance=5.0)
    power = (tail(room, click, RATE, 2).astype(float) ** 2).sum(1) * 25
    assert power == pytest.approx([1, *[1 / 3] * 3, *[1 / 5] * 5], rel=0.2)


def test_files_have_nine_channels_and_the_folder_says_so(tmp_path):
    synth360(tmp_path / "two", 2, 0.5, 5, width=64, order=2, workers=1, progress=False)
    synth360(tmp_path / "one", 2, 0.5, 5, width=64, workers=1, progress=False)
    second, first = read_manifest(tmp_path / "two"), read_manifest(tmp_path / "one")
    for row, other in zip(second, first, strict=True):
        assert soundfile.info(second.root / row.audio).channels == 9
        assert (row.azimuth, row.elevation) == pytest.approx((other.azimuth, other.elevation), abs=0.05)
        assert (second.root / row.video).read_bytes() == (first.root / other.video).read_bytes()
    assert '"order": 2' in (tmp_path / "two" / SETTINGS).read_text()
    assert '"order": 1' in (tmp_path / "one" / SETTINGS).read_text()
    for name, there, wanted in (("one", 1, 2), ("two", 2, 1)):
        before = {path: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()}
        with pytest.raises(ValueError, match=f"expected order {there}, which it was written with, got {wanted}"):
            synth360(tmp_path / name, 3, 0.5, 5, width=64, order=wanted, workers=1, progress=False)
        assert before == {path: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()}


def test_orders_that_are_not_made_are_refused(tmp_path):
    for order in (0, 5):
        with pytest.raises(ValueError, match=f"order is from 1 to 4, not {order}"):
            synth360(tmp_path / "out", 1, 0.5, 5, order=order, progress=False)
    assert Synth360(Synth360Options()).settings() == Synth360(Synth360Options(order=1)).settings()


def test_it_is_a_built_in_world(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path))
    config = DataConfig(
        synthetic_dataset="synth360-order-2", clips=1, clip_seconds=0.5, seconds=0.5, frames=1, frame_rate=2.0
    )
    _, manifest = worlds.clips(config, 16000, progress=False)
    assert soundfile.info(manifest.root / manifest.rows[0].audio).channels == 9
