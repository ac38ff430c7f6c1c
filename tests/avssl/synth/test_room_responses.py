"""Measured room responses: their direct sound, and sources in rooms of them."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import soundfile
import torch

from avssl.spatial.ambisonics import angle_between, convert, encode
from avssl.spatial.binaural import spherical_head
from avssl.synth.acoustics import binaural_render, foa_render
from avssl.synth.acoustics.measured_room import measured
from avssl.synth.acoustics.room import SPEED_OF_SOUND
from avssl.synth.scene import Format, describe
from avssl.synth.trajectories import Oscillation, Path, draw_path
from avssl.synth.user_media.media_files import Splitter
from avssl.synth.user_media.room_response import ResponseFile, load_rooms, read_response

RATE = 24000
FORM = Format(seconds=1.0, sample_rate=RATE)
STILL = Oscillation(0.0, 0.0, 0.0)
DRR = 4.0
"""Direct-to-reverberant ratio of the responses, dB."""


def still(azimuth, elevation, distance=2.0):
    return Path(float(np.radians(azimuth)), float(np.radians(elevation)), distance, 0.0, STILL, STILL, STILL)


def response(azimuth, elevation, rate=RATE, seconds=0.4, seed=0):
    """A plane wave after 10 ms, and from 8 ms later a decaying diffuse field at `DRR`: `(4, taps)`."""
    rng, taps = np.random.default_rng(seed), round(seconds * rate)
    pulse = torch.zeros(taps)
    pulse[round(0.01 * rate)] = 1
    direct = encode(pulse, float(np.radians(azimuth)), float(np.radians(elevation))).numpy()
    times = np.arange(taps) / rate - 0.018
    rest = rng.standard_normal((4, taps)) * np.exp(-8 * times) * (times > 0) * np.array([1, *[3**-0.5] * 3])[:, None]
    return direct + rest * np.sqrt(10 ** (-DRR / 10) / (rest[0] ** 2).sum())


def stored(folder, foa, form="ambix", name="a.wav", rate=RATE):
    native = convert(torch.from_numpy(foa), "ambix", form).numpy()
    soundfile.write(folder / name, native.T, rate, subtype="FLOAT")
    return ResponseFile(folder / name, form)


def thing_on(path):
    return replace(describe(0, 0).things[0], number=0, path=path, sounding=True)


def pulse_at(seconds):
    """A unit pulse some seconds after the scene begins, with the lead-in."""
    source = np.zeros(FORM.span().samples, np.float32)
    source[len(source) - RATE + round(seconds * RATE)] = 1
    return source


def intensity(foa):
    """Azimuth and elevation of the active intensity, degrees."""
    w, y, z, x = foa.astype(float)
    vector = np.array([(w * each).sum() for each in (x, y, z)])
    return np.degrees([np.arctan2(vector[1], vector[0]), np.arctan2(vector[2], np.hypot(*vector[:2]))])


@pytest.mark.parametrize("form", ["ambix", "fuma", "acn-n3d"])
@pytest.mark.parametrize("rate", [24000, 48000])
def test_the_direct_sound_is_found_in_every_format_and_at_every_rate(tmp_path, form, rate):
    found = read_response(stored(tmp_path, response(-70.0, 25.0, rate), form, rate=rate), RATE)
    assert np.degrees([found.azimuth, found.elevation]) == pytest.approx([-70, 25], abs=0.5)
    assert float(found.direct[0].square().sum()) == pytest.approx(1, abs=1e-3)
    assert float(found.whole[0].abs().argmax()) == found.onset


@pytest.mark.parametrize("place", [(0, 0), (90, 0), (-135, 40), (170, -30), (33, 45)])
def test_the_direct_sound_comes_from_the_source_and_the_ratio_is_kept(tmp_path, place):
    found = read_response(stored(tmp_path, response(-70.0, 25.0)), RATE)
    path = still(*place, distance=2.0)
    foa = measured(thing_on(path), pulse_at(0.1), FORM, found)
    at = round((0.1 + 2.0 / SPEED_OF_SOUND) * RATE)
    assert abs(int(np.abs(foa[0]).argmax()) - at) <= 1
    direct, rest = foa[:, at - 24 : at + 36], foa[:, at + 48 :]
    error = angle_between(*np.radians(intensity(direct)), *map(float, path.at(np.array(0.1))[:2]))
    assert np.degrees(float(error)) < 1
    assert 10 * np.log10((direct[0] ** 2).sum() / (rest[0] ** 2).sum()) == pytest.approx(DRR, abs=0.1)
    # The cubic that delays the sound by a fraction of a sample loses some of the highest octave.
    assert (direct[0] ** 2).sum() == pytest.approx(1 / 2.0**2, rel=0.25)


def test_the_direct_sound_follows_a_moving_source(tmp_path):
    found = read_response(stored(tmp_path, response(120.0, -10.0)), RATE)
    path = draw_path(np.random.default_rng(3), 0.5, 0.3)
    path = replace(path, drift=1.0)
    for second in (0.05, 0.4, 0.9):
        foa = measured(thing_on(path), pulse_at(second), FORM, found)
        at = int(np.abs(foa[0]).argmax())
        azimuth, elevation, _ = path.at(np.array(at / RATE))
        error = angle_between(*np.radians(intensity(foa[:, at - 24 : at + 36])), float(azimuth), float(elevation))
        assert np.degrees(float(error)) < 1


def test_a_turned_field_is_the_response_turned(tmp_path):
    foa = response(-70.0, 0.0)
    found = read_response(stored(tmp_path, foa), RATE)
    one, other = (measured(thing_on(still(angle, 0)), pulse_at(0.1), FORM, found) for angle in (-70.0, 20.0))
    w, y, z, x = one
    np.testing.assert_allclose(other, np.stack([w, x, z, -y]), atol=1e-4)  # by 90 degrees: Y is X, X is -Y


def test_a_response_longer_than_the_scene_ends_with_it(tmp_path):
    found = read_response(stored(tmp_path, response(0.0, 0.0, seconds=3.0)), RATE)
    scene = describe(2, 0)
    thing = next(each for each in scene.things if each.sounding)
    short, long = Format(0.5, sample_rate=RATE), Format(1.0, sample_rate=RATE)
    rng = np.random.default_rng(0)
    source = rng.standard_normal(long.span().samples).astype(np.float32)
    one = measured(thing, source[: short.span().samples], short, found)
    other = measured(thing, source, long, found)
    np.testing.assert_allclose(one, other[:, : one.shape[1]], atol=1e-4)


def room_scene(tmp_path, count=1):
    scene = describe(4, 1)
    things = tuple(
        replace(each, number=k, sounding=k == 0, path=still(40, 10)) for k, each in enumerate(scene.things[:count])
    )
    files = (stored(tmp_path, response(-70.0, 25.0)),) * count
    return replace(scene, things=things, responses=files, room=replace(scene.room, noise=np.inf))


def test_a_scene_in_a_measured_room_has_its_response_and_no_simulated_one(tmp_path):
    scene = room_scene(tmp_path)
    thing, source = next(foa_render.sources(scene, FORM))
    wanted = measured(thing, source, FORM, read_response(scene.responses[0], RATE))
    rendered = foa_render.render_audio(scene, FORM)
    assert np.corrcoef(rendered.ravel(), wanted.ravel())[0, 1] > 0.999999
    assert 20 * np.log10(np.sqrt((rendered[0] ** 2).mean())) == pytest.approx(scene.room.level, abs=0.1)


def test_ears_in_a_measured_room_get_the_direct_sound_by_their_own_responses(tmp_path, monkeypatch):
    scene = room_scene(tmp_path)
    source = pulse_at(0.1)
    monkeypatch.setattr(binaural_render, "sources", lambda *_: iter([(scene.things[0], source)]))
    ears = binaural_render.render_ears(scene, FORM, "")
    at = round((0.1 + 2.0 / SPEED_OF_SOUND) * RATE)
    direct, rest = ears[:, at - 24 : at + 48], ears[:, at + 48 :]
    hrirs = spherical_head(RATE).interpolator.responses(*(torch.tensor([np.radians(each)]) for each in (40.0, 10.0)))
    wanted = hrirs[0].double().square().sum(-1)
    found = (direct.astype(float) ** 2).sum(1)
    assert 10 * np.log10(found[0] / found[1]) == pytest.approx(10 * np.log10(float(wanted[0] / wanted[1])), abs=0.5)
    assert np.abs(ears[0]).argmax() < np.abs(ears[1]).argmax()  # from the left
    assert 10 * np.log10(found.sum() / (rest.astype(float) ** 2).sum()) == pytest.approx(DRR, abs=1.5)


def sofa(path, impulses, kind="FIR", delay=None):
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"], file.attrs["SOFAConventions"] = "SOFA", "SingleRoomSRIR"
        file.attrs["DataType"] = kind
        file.create_dataset("Data.IR", data=impulses)
        file.create_dataset("Data.SamplingRate", data=np.array([float(RATE)]))
        file.create_dataset("Data.Delay", data=np.zeros((1, impulses.shape[1])) if delay is None else delay)


def load(folder, form="ambix", share=0.0):
    failures = []
    rooms, _ = load_rooms(folder, form, Splitter(share), np.random.default_rng(0), failures)
    return rooms, failures


@pytest.mark.parametrize("kind", ["FIR", "FIR-E", "FIRE"])
def test_sofa_files_hold_several_responses_of_one_room(tmp_path, kind):
    azimuths = (10.0, -100.0, 60.0)
    impulses = np.stack([response(each, 0.0, seconds=0.1, seed=k) for k, each in enumerate(azimuths)])
    shaped = {
        "FIR": impulses,
        "FIR-E": impulses.transpose(1, 2, 0)[None],
        "FIRE": impulses.transpose(1, 0, 2)[None],
    }[kind]
    sofa(tmp_path / "room.sofa", shaped, kind)
    rooms, _ = load(tmp_path)
    found = [np.degrees(read_response(file, RATE).azimuth) for file in rooms.train[0]]
    assert found == pytest.approx(azimuths, abs=0.5)


def test_a_subfolder_is_a_room_and_so_is_a_file_beside_it(tmp_path):
    (tmp_path / "hall").mkdir()
    for name in ("hall/1.wav", "hall/2.wav", "b.wav"):
        stored(tmp_path, response(0.0, 0.0, seed=len(name)), name=name)
    rooms, _ = load(tmp_path)
    assert sorted([file.path.name for file in room] for room in rooms.train) == [["1.wav", "2.wav"], ["b.wav"]]


def test_files_that_cannot_be_read_or_have_no_direct_sound_are_listed_and_left_out(tmp_path):
    stored(tmp_path, response(0.0, 0.0), name="good.wav")
    (tmp_path / "torn.wav").write_bytes((tmp_path / "good.wav").read_bytes()[:3000])
    soundfile.write(tmp_path / "silent.wav", np.zeros((2400, 4)), RATE)
    apart = np.zeros((2400, 4))
    apart[100, 0] = apart[100, 1] = apart[160, 2] = 0.5
    apart[100, 1] = 0.01  # W without a direction
    soundfile.write(tmp_path / "nowhere.wav", apart, RATE)
    soundfile.write(tmp_path / "long.wav", np.full((30 * RATE, 4), 1e-3), RATE)
    rooms, failures = load(tmp_path)
    assert [file.path.name for room in rooms.train for file in room] == ["good.wav"]
    assert [line.split(": ")[0].rpartition("/")[2] for line in failures] == [
        "long.wav", "nowhere.wav", "silent.wav", "torn.wav"
    ]  # fmt: skip
    assert "at most 20 s, got 30.0 s" in failures[0]
    assert "intensity is" in failures[1]


def test_another_number_of_channels_and_a_folder_without_responses_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected a folder of first-order room responses .*found none"):
        load(tmp_path)
    with pytest.raises(ValueError, match=r"gone: expected a folder of first-order room responses, got no folder"):
        load(tmp_path / "gone")
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).standard_normal((2400, 2)) / 9, RATE)
    with pytest.raises(ValueError, match=r"a.wav: expected a first-order room response of 4 channels, got 2; "):
        load(tmp_path)


def test_sofa_files_of_other_receivers_or_with_delays_between_channels_are_refused(tmp_path):
    sofa(tmp_path / "a.sofa", np.ones((2, 2, 64)))
    with pytest.raises(ValueError, match=r"a.sofa: expected a first-order room response of 4 channels, got 2"):
        load(tmp_path)
    sofa(tmp_path / "a.sofa", response(0, 0, seconds=0.1)[None], delay=np.array([[0, 1.0, 0, 0]]))
    with pytest.raises(ValueError, match=r"one Data.Delay for all channels"):
        load(tmp_path)
