"""EigenScape's files as they are downloaded: names, segments, folds, and what is wrong with a broken download."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from avssl.datasets.layouts.eigenscape import CLASSES, EXCHANGED, EigenScape, EigenScapeOptions


def record(path: Path, samples: int = 96, channels: int = 25, rate: int = 48000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros((samples, channels)), rate, subtype="PCM_24")


def tree(root: Path, classes: Iterable[str] = CLASSES, numbers: Iterable[int] = range(1, 9)) -> Path:
    """Of the official shape: 25 channels, 24 bits, 48 kHz; two milliseconds each."""
    for label in classes:
        for number in numbers:
            record(root / label / f"{label}.{number}.wav")
    return root


def cut(**settings: Any) -> EigenScapeOptions:
    return EigenScapeOptions(**{"segment": 0.001, **settings})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("eigenscape"))


def test_the_official_tree_is_64_recordings_of_8_classes_in_alphabetical_order(whole: Path) -> None:
    found = EigenScape(cut()).read(whole)
    assert found.classes == CLASSES == tuple(sorted(CLASSES))
    assert len({each.group for each in found.recordings}) == 64
    assert len(found.recordings) == 128  # two segments each
    assert found.missing_names == ()
    assert found.name == "EigenScape"


def test_ten_minutes_are_twenty_segments_of_thirty_seconds(tmp_path: Path) -> None:
    for label in CLASSES[:2]:
        for number in (1, 2):
            record(tmp_path / f"{label}.{number}.wav", samples=600 * 1000 + 999, channels=4, rate=1000)
    found = EigenScape(EigenScapeOptions(missing=0.9)).read(tmp_path)
    assert len(found.recordings) == 4 * 20
    assert [each.start for each in found.recordings[:20]] == [30.0 * index for index in range(20)]
    assert {each.seconds for each in found.recordings} == {30.0}


def test_a_recording_shorter_than_a_segment_is_one(whole: Path) -> None:
    found = EigenScape(EigenScapeOptions()).read(whole)
    assert len(found.recordings) == 64
    assert found.recordings[0].seconds == pytest.approx(96 / 48000)


def test_fixed_folds_test_recordings_1_and_2_then_3_and_4(whole: Path) -> None:
    found = EigenScape(cut()).read(whole)
    by_key = {each.key: each for each in found.recordings}
    for index, fold in enumerate(found.folds):
        tested = {by_key[key].group.rpartition(".")[2] for key in fold.test}
        assert tested == {str(2 * index + 1), str(2 * index + 2)}
        assert len(fold.test) == 8 * 2 * 2
    assert len(found.folds) == 4


@pytest.mark.parametrize(("folds", "count"), [("fixed", 4), ("leave-one-out", 8), ("seeded", 4)])
def test_every_segment_is_tested_once_and_no_recording_is_on_both_sides(whole: Path, folds: str, count: int) -> None:
    found = EigenScape(cut(folds=folds, seed=3)).read(whole)
    group = {each.key: each.group for each in found.recordings}
    assert len(found.folds) == count
    assert sorted(key for fold in found.folds for key in fold.test) == sorted(group)
    for fold in found.folds:
        assert not {group[key] for key in fold.train} & {group[key] for key in fold.test}
        assert len(fold.train) + len(fold.test) == len(group)


def test_seeded_folds_are_the_same_for_one_seed_and_differ_for_others(whole: Path) -> None:
    folds = [EigenScape(cut(folds="seeded", seed=seed)).read(whole).folds for seed in (0, 0, 1)]
    assert folds[0] == folds[1] != folds[2]


def test_names_of_the_metadata_and_folders_of_any_name_mean_the_same_recordings(whole: Path, tmp_path: Path) -> None:
    for label in CLASSES:
        for number in range(1, 9):
            record(tmp_path / "EigenScape" / "all in one" / f"{label}-0{number}.WAV")
    (tmp_path / "EigenScape" / "metadata.csv").write_text("Beach-01,somewhere\n")
    (tmp_path / "EigenScape" / "._Beach.1.wav").write_bytes(b"what a Mac leaves")
    one, other = EigenScape(cut()).read(tmp_path), EigenScape(cut()).read(whole)
    assert [each.group for each in one.recordings] == [each.group for each in other.recordings]
    assert [fold.name for fold in one.folds] == [fold.name for fold in other.folds]


def test_park_6_and_8_change_places_and_with_them_their_folds(whole: Path) -> None:
    plain, swapped = (EigenScape(cut(swap_park=swap)).read(whole) for swap in (False, True))
    changed = {a.audio: (a.group, b.group) for a in plain.recordings for b in swapped.recordings
               if a.key == b.key and a.group != b.group}  # fmt: skip
    assert changed == {"Park/Park.6.wav": ("Park.6", "Park.8"), "Park/Park.8.wav": ("Park.8", "Park.6")}
    assert set(EXCHANGED) == {("Park", 6), ("Park", 8)}
    assert "Park/Park.6.wav#0" in plain.folds[2].test
    assert "Park/Park.6.wav#0" in swapped.folds[3].test


def test_missing_recordings_are_counted_and_refused_above_a_share(tmp_path: Path) -> None:
    tree(tmp_path, CLASSES[:6])
    with pytest.raises(ValueError, match=r"names 64 files, 16 are missing.*TrainStation\.1.*--missing 0\.25") as caught:
        EigenScape(cut()).read(tmp_path)
    assert "\n" not in str(caught.value)
    found = EigenScape(cut(missing=0.25)).read(tmp_path)
    assert len(found.missing_names) == 16
    assert found.classes == CLASSES[:6]


def test_what_is_no_recording_of_the_set_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected the folder of EigenScape"):
        EigenScape(cut()).read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no recording of EigenScape below it; they are named Beach\.1\.wav"):
        EigenScape(cut()).read(tmp_path)
    record(tmp_path / "Beech.1.wav")
    with pytest.raises(ValueError, match=r"Beech\.1\.wav: the class is Beach, .* not 'Beech' .did you mean 'Beach'"):
        EigenScape(cut()).read(tmp_path)
    (tmp_path / "Beech.1.wav").rename(tmp_path / "Beach.1.wav")
    record(tmp_path / "Beach-01.wav")
    with pytest.raises(ValueError, match=r"recording Beach\.1 is there twice, as .*Beach-01\.wav"):
        EigenScape(cut()).read(tmp_path)


def test_fewer_than_four_channels_are_refused_and_another_rate_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree(tmp_path)
    record(tmp_path / "Park" / "Park.3.wav", rate=44100)
    record(tmp_path / "Park" / "Park.4.wav", rate=44100)
    caplog.set_level("INFO", "avssl")
    EigenScape(cut()).read(tmp_path)
    assert caplog.messages == [
        f"{tmp_path}: 2 of 64 recordings are not at 48000 Hz: they are resampled (Park.3.wav: 44100 Hz)"
    ]
    record(tmp_path / "Park" / "Park.3.wav", channels=2)
    with pytest.raises(ValueError, match=r"Park\.3\.wav: ambisonics of order 1 have 4 channels, this has 2"):
        EigenScape(cut()).read(tmp_path)
    (tmp_path / "Park" / "Park.3.wav").write_bytes(b"RIFF and then nothing")
    with pytest.raises(ValueError, match=r"Park\.3\.wav"):
        EigenScape(cut()).read(tmp_path)


def test_a_class_with_recordings_of_one_number_cannot_be_learnt(tmp_path: Path) -> None:
    tree(tmp_path, CLASSES[:2], (1, 2))
    (tmp_path / "Beach" / "Beach.2.wav").unlink()
    with pytest.raises(ValueError, match="Beach has all its recordings in fold fold1"):
        EigenScape(cut(missing=0.9)).read(tmp_path)


def test_a_made_up_set_says_that_it_is(whole: Path, tmp_path: Path) -> None:
    tree(tmp_path, CLASSES, (1, 2))
    (tmp_path / "scenes.json").write_text('{"world": "ambience"}')
    assert EigenScape(cut()).read(tmp_path).name == "synthetic ambience (EigenScape layout)"
    (tmp_path / "scenes.json").write_text("[")
    with pytest.raises(ValueError, match=r"scenes\.json: expected the settings of a synthetic dataset"):
        EigenScape(cut()).read(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"), [({"folds": "fix"}, "did you mean 'fixed'"), ({"segment": 0}, "above 0")]
)
def test_cuts_without_a_meaning_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EigenScapeOptions(**wrong)
