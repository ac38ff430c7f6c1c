"""Made-up ambiences: files of the official form, and what is claimed of each class, against closed forms."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.datasets.layouts import eigenscape, tau
from avssl.datasets.layouts.eigenscape import EigenScape, EigenScapeOptions
from avssl.datasets.layouts.tau import Tau
from avssl.media import probe
from avssl.spatial.ambisonics import band_covariance, field_direction
from avssl.synth.soundscape.eigenscape_classes import AMBIENCES, describe
from avssl.synth.soundscape.sampler import SoundscapeSampler
from avssl.synth.soundscape.soundscape_dataset import ambience
from avssl.synth.soundscape.tau_classes import AUDIO, SIGHTS

RATE, SECONDS = 16000, 10.0
SMALL = {"recordings": 1, "seconds": 1.0, "workers": 1, "progress": False}
PAIRS = [("Beach", "Woodland"), ("BusyStreet", "QuietStreet"), ("PedestrianZone", "ShoppingCentre")]


def sketched(label, seed=1):
    """A class's own sound, without what is heard anywhere."""
    sketch = SoundscapeSampler(np.random.default_rng(seed), SECONDS)
    AMBIENCES[label](sketch)
    return sketch.place(-30)


def heard(place):
    return np.concatenate(list(place.blocks(SECONDS, RATE, 1)), 1)


def plane_wave(x, y, z):
    gains = np.stack([np.ones_like(x), y, z, x], 0)
    gains[1:] /= np.sqrt(x**2 + y**2 + z**2)
    return gains


def expected(place):
    """Covariance of W, Y, Z, X: noise by its distribution of directions, passers along their straight lines."""
    total, times = np.zeros((4, 4)), np.arange(0, SECONDS, 0.01)
    for bed in place.beds:
        loud = 10 ** (bed.level / 10) * (bed.swell.gains(times).astype(float) ** 2).mean()
        total += loud * bed.spread.covariance(1)
    for passer in place.passers:
        audio = passer.dry(RATE).astype(float)
        instants = np.arange(len(audio)) / RATE
        inside = (passer.onset + instants >= 0) & (passer.onset + instants < SECONDS)
        along = passer.line.speed * (instants - passer.line.passing)
        nearest, bearing = passer.line.nearest, passer.line.bearing
        x, y = nearest * np.cos(bearing) - along * np.sin(bearing), nearest * np.sin(bearing) + along * np.cos(bearing)
        waves = plane_wave(x, y, np.full_like(x, passer.line.height))[:, inside] * audio[inside]
        straight = waves @ waves.T / (SECONDS * RATE)
        total += (1 - passer.wet) * straight + passer.wet * straight[0, 0] * np.diag([1, 1 / 3, 1 / 3, 1 / 3])
    return 10 ** (place.level / 10) * total


@pytest.mark.parametrize("label", AMBIENCES)
def test_recordings_have_the_direction_and_the_diffuseness_of_what_they_are_made_of(label):
    place = describe(AMBIENCES, label, 5, 1, SECONDS)
    field = heard(place)
    assert np.abs(field).max() < 0.9
    wanted, found = expected(place), field.astype(float) @ field.T / field.shape[1]
    assert np.linalg.norm(found - wanted) < 0.2 * np.linalg.norm(wanted)
    measured, told = (torch.stack(field_direction(torch.from_numpy(each))) for each in (found, wanted))
    assert float(measured[2]) == pytest.approx(float(told[2]), abs=0.1)
    if told[2] < 0.6:
        assert torch.cos(measured[0] - told[0]) > np.cos(0.2)
        assert float(measured[1]) == pytest.approx(float(told[1]), abs=0.2)


def third_octaves(audio):
    power = np.abs(np.fft.rfft(audio)) ** 2
    frequencies = np.fft.rfftfreq(len(audio), 1 / RATE)
    edges = 100 * 2 ** (np.arange(19) / 3)
    return np.array([10 * np.log10(power[(frequencies >= low) & (frequencies < high)].mean())
                     for low, high in pairwise(edges)])  # fmt: skip


def brief_diffuseness(field):
    """Over tenths of a second, on average."""
    pieces = torch.from_numpy(field).unfold(1, RATE // 10, RATE // 10).movedim(1, 0)
    return float(field_direction(band_covariance(pieces, RATE, 150, 4000))[2].mean())


@pytest.mark.parametrize(("directed", "diffuse"), PAIRS)
def test_members_of_a_pair_have_one_spectrum_and_differ_in_space(directed, diffuse):
    one, other = heard(sketched(directed)), heard(sketched(diffuse))
    difference = third_octaves(one[0]) - third_octaves(other[0])
    assert np.sqrt((difference**2).mean()) < 3
    assert brief_diffuseness(one) < brief_diffuseness(other) - 0.2


@pytest.mark.parametrize(("directed", "diffuse"), PAIRS[1:])
def test_members_of_a_pair_have_the_same_waveforms_at_the_same_times(directed, diffuse):
    one, other = sketched(directed), sketched(diffuse)
    assert [each.tint for each in one.beds] == [each.tint for each in other.beds]
    told = [[(each.onset, each.source, each.voice, each.level, each.line) for each in place.passers]
            for place in (one, other)]  # fmt: skip
    assert told[0] == told[1]
    assert max(each.wet for each in one.passers) < 0.5 < max(each.wet for each in other.passers)


def test_vehicles_move_and_a_fountain_stays_where_it_is():
    def steps(label):
        pieces = torch.from_numpy(heard(sketched(label))).unfold(1, RATE, RATE).movedim(1, 0)
        azimuth = field_direction(band_covariance(pieces, RATE, 1000, 6000))[0]
        return float(torch.polar(torch.ones(len(azimuth)), azimuth).mean().abs())

    assert steps("Park") > 0.9 > steps("BusyStreet")


def test_no_absolute_direction_tells_a_class():
    azimuths = [describe(AMBIENCES, "Beach", 0, number, 1.0).beds[0].spread.azimuth for number in range(200)]
    assert abs(np.exp(1j * np.array(azimuths)).mean()) < 0.2


@pytest.mark.heavy
def test_files_are_eigenscapes_and_its_reader_says_that_they_are_made_up(tmp_path):
    ambience(tmp_path, recordings=2, seconds=1.0, order=1, sample_rate=16000, workers=1, progress=False)
    found = EigenScape(EigenScapeOptions(folds="leave-one-out")).read(tmp_path)
    assert found.name.startswith("synthetic ambience")
    assert (found.classes, len(found.recordings), len(found.folds)) == (eigenscape.CLASSES, 16, 2)
    assert {each.label for each in found.recordings} == set(AMBIENCES)


@pytest.mark.heavy
def test_a_recording_has_25_channels_of_24_bits_at_48_khz(tmp_path):
    ambience(tmp_path, classes=["Woodland"], **SMALL)
    path = tmp_path / "Woodland/Woodland.1.wav"
    info = soundfile.info(path)
    assert (info.channels, info.subtype, info.samplerate, info.frames) == (25, "PCM_24", 48000, 48000)
    field, rate = soundfile.read(path, dtype="float32")
    made = next(describe(AMBIENCES, "Woodland", 0, 1, 1.0).blocks(1.0, rate, 4))
    assert np.abs(field.T - made).max() <= 2**-23


def test_a_recording_does_not_depend_on_the_others(tmp_path):
    few, many = ({"classes": ["Park"]}, {"classes": ["Woodland", "Park"], "recordings": 2})
    for name, options in (("few", few), ("many", many)):
        ambience(tmp_path / name, **(SMALL | {"order": 2, "sample_rate": 16000} | options))
    one, two = (tmp_path / name / "Park/Park.1.wav" for name in ("few", "many"))
    assert one.read_bytes() == two.read_bytes()


def test_what_is_there_is_kept_and_what_is_missing_is_made_again(tmp_path):
    options = SMALL | {"classes": ["Park", "Beach"], "order": 1, "sample_rate": 16000}
    ambience(tmp_path, **options)
    kept, lost = tmp_path / "Park/Park.1.wav", tmp_path / "Beach/Beach.1.wav"
    before, audio = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    ambience(tmp_path, **options)
    assert kept.stat().st_mtime_ns == before
    assert lost.read_bytes() == audio


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "eigenscap"}, "did you mean 'eigenscape'"),
        ({"classes": ["Parc"]}, "did you mean 'Park'"),
        ({"order": 9}, "order lies in 1..7, not 9"),
        ({"seconds": 0.0}, "seconds lie in 1..3600"),
        ({"seconds": float("nan")}, "seconds lie in 1..3600"),
        ({"recordings": 0}, "recordings lie in 1..999, not 0"),
        ({"layout": "tau", "recordings": 1}, "recordings lie in 2..999, not 1"),
        ({"sample_rate": 8000}, "sample_rate lies in 16000"),
        ({"seed": -1}, "seed is not negative"),
        ({"workers": 0}, "workers is at least 1"),
    ],
)
def test_what_has_no_meaning_is_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        ambience(tmp_path / "out", **(SMALL | options))
    assert not (tmp_path / "out").exists()


def test_somebody_elses_recordings_and_other_worlds_are_left_alone(tmp_path):
    (tmp_path / "real/Beach").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds Beach, which ambience did not write"):
        ambience(tmp_path / "real", **SMALL)
    ambience(tmp_path / "made", classes=["Beach"], order=1, **SMALL)
    with pytest.raises(ValueError, match="expected order 1, which it was written with, got 2; give another folder"):
        ambience(tmp_path / "made", classes=["Beach"], order=2, **SMALL)


@pytest.mark.heavy
def test_taus_tree_is_read_by_its_reader_seen_and_heard(tmp_path):
    options = ["--layout", "tau", "--classes", "bus,park", "--recordings", "2", "--seconds", "1", "--workers", "1"]
    result = CliRunner().invoke(main, ["synth", "ambience", str(tmp_path), *options])
    assert result.exit_code == 0, result.output
    found = Tau().read(tmp_path)
    assert found.name.startswith("synthetic ambience")
    (fold,) = found.folds
    assert (len(fold.train), len(fold.test)) == (4, 4)
    groups = {each.key: each.group for each in found.recordings}
    assert not {groups[key] for key in fold.train} & {groups[key] for key in fold.test}
    for example in found.recordings[:2]:
        info = soundfile.info(tmp_path / example.audio)
        assert (info.channels, info.subtype, info.samplerate, info.frames) == (2, "PCM_24", 48000, 48000)
        video = probe(tmp_path / example.video).video
        assert (video.width, video.height, video.seconds) == (160, 96, pytest.approx(1, abs=0.01))
    one, two = (soundfile.read(path)[0] for path in sorted((tmp_path / "audio").iterdir())[:2])
    assert np.abs(two[0] - one[-1]).max() <= np.abs(np.diff(one, axis=0)).max(), "one clip goes on where the last ended"


@pytest.mark.heavy
def test_classes_of_tau_are_all_heard_and_seen():
    assert tuple(AUDIO) == tuple(SIGHTS) == tau.CLASSES
    for label in AUDIO:
        assert np.abs(next(describe(AUDIO, label, 0, 1, 1.0).blocks(1.0, RATE, 1))).max() < 0.9
