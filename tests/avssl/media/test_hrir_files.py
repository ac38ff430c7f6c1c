"""HRIR files: real sets against each other and published values, corrupt files rejected."""

from __future__ import annotations

import math
import random
import warnings
from functools import lru_cache

import h5py
import numpy as np
import pytest
import soundfile
import torch

from avssl.media.hrir_files import read_hrirs
from avssl.spatial.ambisonics import angle_between
from avssl.spatial.binaural import render, spherical_head

KEMAR = "free/hrtf/sofa/MIT_KEMAR_normal_pinna.sofa"
SUBJECT = "free/hrtf/sofa/CIPIC_subject_003_hrir_final.sofa"
CIPIC = "free/hrtf/cipic_subject03_wav/0azleft.wav"
SADIE = "free/hrtf/sadie_subject002/DFC/azi_0_ele_0_DFC.wav"
LEFT, RIGHT = 0, 1


@pytest.fixture
def real(media):
    """Any of the real sets, by the path of a file of it; one that exchanges the ears says so, in a test of its own."""

    def find(name):
        path = media(name)
        return _read(path.parent if path.suffix == ".wav" else path)

    return find


@lru_cache
def _read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_hrirs(path)


def _ears(hrirs, degrees):
    """Level difference in dB and time difference in microseconds, left over right and left ahead, below 5 kHz."""
    response = hrirs.interpolator.responses(torch.tensor([math.radians(degrees)]), torch.zeros(1))[0].double()
    level = 10 * math.log10(float(response[LEFT].square().sum() / response[RIGHT].square().sum()))
    return level, float(_time_difference(response[None], hrirs.sample_rate)[0])


def _time_difference(responses, rate, low=5000.0):
    """Lag in microseconds at which the right ear resembles the left most: a peer of the arrivals, on common ground."""
    size, finer = 1024, 16
    spectrum = torch.fft.rfft(responses.double(), size)
    frequency = torch.fft.rfftfreq(size, 1 / rate).double()
    cross = spectrum[:, RIGHT] * spectrum[:, LEFT].conj() * torch.exp(-((frequency / low) ** 4))
    likeness = torch.fft.irfft(cross, size * finer).roll(size * finer // 2, -1)
    return (likeness.argmax(-1) - size * finer // 2) / finer / rate * 1e6


@pytest.mark.parametrize("name", [KEMAR, SUBJECT, CIPIC, SADIE])
def test_left_is_louder_and_earlier_in_the_left_ear_of_every_real_head(real, name):
    hrirs = real(name)
    for degrees in (45, 90, 135):
        for sign in (1, -1):
            level, time = _ears(hrirs, sign * degrees)
            assert sign * level > 7
            assert 300 < sign * time < 850


def test_real_time_differences_follow_woodworth(real):
    for name in (KEMAR, SUBJECT):
        for degrees in (20, 40, 60, 80):
            angle = math.radians(degrees)
            woodworth = 0.0875 / 343 * (angle + math.sin(angle)) * 1e6
            # Below 1.5 kHz a head is later than its geometry: up to 3 sin instead of angle + sin (Kuhn 1977).
            low = 3 * 0.0875 / 343 * math.sin(angle) * 1e6
            assert 0.85 * woodworth < _ears(real(name), degrees)[1] < 1.15 * low


def test_interaural_polar_angles_of_the_wavs_are_where_the_sofa_file_has_them(real):
    wavs, sofa = real(CIPIC), real(SUBJECT)
    assert wavs.responses.shape == sofa.responses.shape == (1250, 2, 200)
    away = angle_between(*wavs.directions[:, None].unbind(-1), *sofa.directions[None].unbind(-1))
    nearest = away.argmin(1)
    assert float(away.amin(1).max()) < 1e-3
    # The wavs are 16 bits of a third of the level.
    torch.testing.assert_close(3 * wavs.responses, sofa.responses[nearest], atol=1e-4, rtol=0)


def test_rear_right_is_not_mirrored(real):
    """Reading the angles as vertical-polar, as published code does, says +11.3 dB and the left ear first here."""
    level, time = _ears(real(CIPIC), -135)
    assert level == pytest.approx(-8.8, abs=0.3)
    assert time == pytest.approx(-408, abs=20)


def test_swapped_receivers_are_detected_by_level_difference(media, caplog):
    level, time = _ears(read_hrirs(media(SUBJECT)), 80)
    assert [record.levelname for record in caplog.records if "exchanges the ears" in record.getMessage()] == ["WARNING"]
    assert level > 15
    assert time > 400


@pytest.mark.parametrize("name", [KEMAR, SUBJECT, SADIE])
@pytest.mark.parametrize("rate", [24000, 16000])
def test_another_rate_keeps_time_differences_within_ten_microseconds(real, name, rate):
    hrirs = real(name)
    changed = hrirs.resample(rate)
    was, now = (_time_difference(each.responses[::7], each.sample_rate) for each in (hrirs, changed))
    assert float((was - now).abs().max()) < 10


@pytest.mark.parametrize("name", [KEMAR, SUBJECT, SADIE])
def test_circling_a_real_head_adds_neither_jumps_nor_high_frequencies(real, name):
    hrirs, rate = real(name).resample(24000), 24000
    time = torch.arange(2 * rate) / rate
    tone = torch.sin(2 * math.pi * 800 * time)
    moving = render(tone, 2 * math.pi * time, 0.0, hrirs)[:, 2400:-2400]
    still = [render(tone, angle, 0.0, hrirs)[:, 2400:-2400] for angle in np.arange(0, 6.2, 0.4)]
    assert float(moving.diff().abs().max()) < 1.1 * max(float(each.diff().abs().max()) for each in still)
    assert _high(moving) < max(map(_high, still)) + 1


def _high(audio):
    spectrum = torch.fft.rfft(audio.double() * torch.hann_window(audio.shape[-1], dtype=torch.float64)).abs().square()
    return float(10 * torch.log10(spectrum[:, spectrum.shape[1] // 2 :].sum()))


def test_cartesian_and_spherical_positions_are_the_same_places(sofa):
    around = np.array([[2.0, 0, 0], [0, 2, 0], [-2, 0, 0], [0, -2, 0]])
    spherical, cartesian = read_hrirs(sofa()), read_hrirs(sofa(SourcePosition=(around, "cartesian")))
    away = angle_between(*spherical.directions.unbind(-1), *cartesian.directions.unbind(-1))
    assert float(away.max()) < 1e-5
    torch.testing.assert_close(spherical.responses, cartesian.responses)


def test_receivers_in_the_other_order_are_the_same_ears(sofa):
    plain = read_hrirs(sofa())
    with h5py.File(sofa(), "r") as file:
        impulses, places = file["Data.IR"][()][:, ::-1], file["ReceiverPosition"][()][::-1]
    torch.testing.assert_close(
        read_hrirs(sofa(**{"Data.IR": impulses, "ReceiverPosition": places})).responses, plain.responses
    )
    spherical = np.array([[[-90.0], [0], [0.09]], [[90], [0], [0.09]]])
    turned = sofa(**{"Data.IR": impulses, "ReceiverPosition": (spherical, "spherical")})
    torch.testing.assert_close(read_hrirs(turned).responses, plain.responses)


def test_equal_responses_fall_back_to_receiver_positions(sofa):
    impulses = np.zeros((4, 2, 32))
    impulses[:, 0, 5] = impulses[:, 1, 9] = 1
    places = np.array([[[0], [-0.09], [0]], [[0], [0.09], [0]]])
    found = read_hrirs(sofa(**{"Data.IR": impulses, "ReceiverPosition": places}))
    assert found.responses[0].argmax(-1).tolist() == [9, 5]


def test_directions_are_relative_to_listener_view_and_position(sofa):
    # A listener facing left has the room's front on the right; one that stands 1 m to the left shifts all
    # source positions by 1 m to the right.
    looking = read_hrirs(sofa(ListenerView=np.array([[0.0, 1, 0]])))
    assert looking.directions[0, 0] == pytest.approx(-math.pi / 2)
    place = np.array([[2.0, 1, 0], [0, 3, 0], [-2, 1, 0], [0, -1, 0]])
    moved = read_hrirs(sofa(SourcePosition=(place, "cartesian"), ListenerPosition=np.array([[0.0, 1, 0]])))
    torch.testing.assert_close(moved.directions[:, 0].cos(), torch.tensor([1.0, 0, -1, 0]), atol=1e-6, rtol=0)


def test_delays_are_put_back_in_front(sofa):
    delays = np.array([[10.0, 20.0]])
    found = read_hrirs(sofa(**{"Data.Delay": delays}))
    assert found.responses.argmax(-1)[0].tolist() == [15, 25]
    assert float(found.responses[0, LEFT, 15]) == pytest.approx(1, abs=1e-6)
    half = read_hrirs(sofa(**{"Data.Delay": np.full((4, 2), 10.5)})).responses[0, LEFT]
    assert half[15] == pytest.approx(float(half[16]), abs=1e-6)
    assert float(half.square().sum()) == pytest.approx(1, abs=1e-6)


def test_of_several_distances_in_a_direction_the_farthest_is_kept(sofa):
    with h5py.File(sofa(), "r") as file:
        impulses, places = file["Data.IR"][()], file["SourcePosition"][()]
    near = places * [1, 1, 0.3]
    found = read_hrirs(
        sofa(**{"Data.IR": np.concatenate([3 * impulses, impulses]), "SourcePosition": np.concatenate([near, places])})
    )
    torch.testing.assert_close(found.responses, torch.from_numpy(impulses).float())


@pytest.mark.parametrize(
    ("attrs", "variables", "message"),
    [
        ({"SOFAConventions": "GeneralFIR"}, {}, "SimpleFreeFieldHRIR.*GeneralFIR"),
        ({"SOFAConventions": "SingleRoomSRIR"}, {}, "SimpleFreeFieldHRIR.*SingleRoomSRIR"),
        ({"SOFAConventions": "SimpleFreeFieldHRTF", "DataType": "TF"}, {}, "HRTF with TF data"),
        ({"Conventions": "netCDF"}, {}, "does not say"),
        ({}, {"Data.IR": np.zeros((4, 1, 32))}, "2 receivers"),
        ({}, {"Data.IR": np.zeros((4, 3, 32))}, "2 receivers"),
        ({}, {"Data.IR": np.zeros((4, 2, 0))}, "2 receivers"),
        ({}, {"Data.IR": np.full((4, 2, 32), math.nan)}, "Data.IR.*NaN or Inf"),
        ({}, {"Data.IR": np.zeros((4, 2, 32))}, "only zeros for the left ear"),
        ({}, {"Data.IR": np.ones((4, 2, 32)) * [[[1.0], [0.0]]]}, "only zeros for the right ear"),
        ({}, {"SourcePosition": np.array([[0.0, 0, 1], [0, 30, 1], [0, 90, 1], [180, 0, 1]])}, "one sagittal plane"),
        ({}, {"SourcePosition": np.array([[20.0, 0, 1]] * 4)}, "one sagittal plane"),
        ({}, {"Data.IR": None}, "Data.IR"),
        ({}, {"Data.SamplingRate": np.array([0.0])}, "Data.SamplingRate"),
        ({}, {"Data.SamplingRate": np.array([math.nan])}, "Data.SamplingRate"),
        ({}, {"Data.SamplingRate": np.array([44100.0, 48000.0])}, "Data.SamplingRate"),
        ({}, {"Data.Delay": np.full((1, 2), -3.0)}, "Data.Delay"),
        ({}, {"Data.Delay": np.full((1, 2), 1e9)}, "Data.Delay"),
        ({}, {"SourcePosition": None}, "SourcePosition"),
        ({}, {"SourcePosition": np.zeros((3, 3))}, r"SourcePosition is \(1 or 4, 3\)"),
        ({}, {"SourcePosition": np.zeros((4, 3))}, "no direction"),
        ({}, {"SourcePosition": (np.ones((4, 3)), "geodesic")}, "spherical or cartesian.*geodesic"),
        ({}, {"ReceiverPosition": np.zeros((3, 3, 1))}, "2 receivers"),
        ({}, {"ReceiverPosition": None, "Data.IR": np.ones((4, 2, 8))}, "identify the left ear"),
        ({}, {"ListenerView": np.array([[0.0, 0, 1]])}, "same way"),
        ({}, {"SourcePosition": np.array([b"left"] * 4)}, "SourcePosition"),
    ],
)
def test_invalid_two_ear_sets_raise_one_line_errors(sofa, attrs, variables, message):
    path = sofa(attrs, **variables)
    with pytest.raises(ValueError, match=message) as error:
        read_hrirs(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_corrupt_files_raise_one_line_errors_with_path(media, tmp_path):
    whole = media(KEMAR).read_bytes()
    spoiled = tmp_path / "spoiled.sofa"
    rng = random.Random(0)
    contents = [b"", b"no sofa at all\n" * 100, whole[: len(whole) // 2], whole[:-1000], whole[:100]]
    for _ in range(20):
        noisy = bytearray(whole)
        for _ in range(300):
            noisy[rng.randrange(20000)] = rng.randrange(256)
        contents.append(bytes(noisy))
    for content in contents:
        spoiled.write_bytes(content)
        with pytest.raises(ValueError, match="spoiled") as error:
            read_hrirs(spoiled)
        assert "\n" not in str(error.value)


def test_missing_files_raise_errors(tmp_path):
    with pytest.raises(OSError, match="absent"):
        read_hrirs(tmp_path / "absent.sofa")
    with pytest.raises(ValueError, match=r"CIPIC.*SADIE"):
        read_hrirs(tmp_path)


def test_a_folder_of_one_folder_of_responses_is_that_folder(media, real):
    torch.testing.assert_close(read_hrirs(media(SADIE).parents[1]).responses, real(SADIE).responses)


@pytest.fixture
def written(tmp_path):
    """Sound files `{name: (frames, channels)}` of noise in a folder."""

    def write(files, rate=44100):
        for name, shape in files.items():
            soundfile.write(tmp_path / name, np.random.default_rng(0).uniform(-0.5, 0.5, shape), rate)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"0azleft.wav": (50, 200)}, "one ear"),
        ({"0azleft.wav": (50, 200), "0azright.wav": (49, 200)}, "50 frames"),
        ({"0azleft.wav": (50, 200), "0azright.wav": (50, 100)}, "one rate and length|shape"),
        ({"azi_0_ele_0.wav": (256, 1)}, "2 channels"),
        ({"azi_0_ele_0.wav": (256, 2), "azi_90_ele_0.wav": (128, 2)}, "one rate and length"),
        ({"azi_0_ele_0.wav": (256, 2)}, "one sagittal plane"),
        ({"azi_0_ele_0_DFC.wav": (256, 2), "azi_0_ele_0_RAW.wav": (256, 2)}, "second response"),
    ],
)
def test_inconsistent_folders_raise_errors(written, files, message):
    with pytest.raises(ValueError, match=message):
        read_hrirs(written(files))


def test_names_of_sadie_ii_have_decimal_commas(written):
    found = read_hrirs(written({"azi_90,0_ele_-15,0.wav": (64, 2), "azi_0,0_ele_0,0.wav": (64, 2)}))
    torch.testing.assert_close(found.directions[1], torch.tensor([math.pi / 2, math.radians(-15)]))


def test_corrupt_wav_error_names_the_path(tmp_path):
    (tmp_path / "azi_0_ele_0.wav").write_bytes(b"RIFF no more")
    with pytest.raises(ValueError, match="azi_0_ele_0"):
        read_hrirs(tmp_path)


def test_a_response_cut_short_is_no_shorter_response(tmp_path):
    soundfile.write(tmp_path / "azi_0_ele_0.wav", np.ones((4096, 2)) / 2, 48000)
    data = (tmp_path / "azi_0_ele_0.wav").read_bytes()
    (tmp_path / "azi_0_ele_0.wav").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"azi_0_ele_0.wav: expected \d+ bytes of sound, the file breaks off"):
        read_hrirs(tmp_path)


def test_write_read_round_trip(sofa):
    """A sphere to a file and back."""
    head = spherical_head(48000)
    degrees = np.degrees(head.directions.numpy())
    places = np.concatenate([degrees, np.full((len(degrees), 1), 1.5)], 1)
    found = read_hrirs(sofa(**{"Data.IR": head.responses.numpy(), "SourcePosition": places}))
    assert found.sample_rate == 48000
    torch.testing.assert_close(found.responses, head.responses)
    assert float(angle_between(*found.directions.unbind(-1), *head.directions.unbind(-1)).max()) < 1e-3
