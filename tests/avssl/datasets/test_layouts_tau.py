"""TAU Urban Audio-Visual Scenes 2021 as it is downloaded: fold lists, labels, places, and what is missing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avssl.datasets.layouts.tau import CLASSES, FOLDER, Tau, TauOptions

HEAD = "filename_audio\tfilename_video\tscene_label"


def names(scene: str, segment: int, city: str = "lisbon", location: int = 1000) -> tuple[str, str]:
    stem = f"{scene}-{city}-{location}-{segment}"
    return f"audio/{stem}.wav", f"video/{stem}.mp4"


def write(path: Path) -> None:
    if path.suffix == ".wav":
        soundfile.write(path, np.zeros((48, 2)), 48000)
    else:
        path.touch()


def tree(root: Path, evaluate: bool = True, lines: Sequence[str] = ()) -> Path:
    """Two places of every scene, one to train on and one to test; short files."""
    base = root / FOLDER
    setup = base / "evaluation_setup"
    setup.mkdir(parents=True)
    lists: dict[str, list[str]] = {"train": [HEAD], "test": [HEAD.rpartition("\t")[0]], "evaluate": [HEAD]}
    for number, scene in enumerate(CLASSES):
        for segment in range(4):
            place = 1000 + 2 * number + segment // 2
            pair = names(scene, segment, location=place)
            for name in pair:
                (base / name).parent.mkdir(exist_ok=True)
                write(base / name)
            line = "\t".join(pair)
            if segment < 2:
                lists["train"].append(f"{line}\t{scene}")
            else:
                lists["test"].append(line)
                lists["evaluate"].append(f"{line}\t{scene}")
    lists["train"] += lines
    for name, rows in lists.items():
        if evaluate or name != "evaluate":
            (setup / f"fold1_{name}.csv").write_text("\r\n".join(rows), encoding="utf-8-sig")
    return root


@pytest.mark.parametrize("evaluate", [True, False])
def test_the_official_lists_give_one_fold_with_labels_and_places(tmp_path: Path, evaluate: bool) -> None:
    found = Tau().read(tree(tmp_path, evaluate))
    assert found.name == "TAU Urban Audio-Visual Scenes 2021"
    assert found.classes == CLASSES == tuple(sorted(CLASSES))
    assert [(fold.name, len(fold.train), len(fold.test)) for fold in found.folds] == [("fold1", 20, 20)]
    by_key = {each.key: each for each in found.recordings}
    assert {by_key[key].label for key in found.folds[0].test} == set(CLASSES)
    assert all(by_key[key].label == key.split("-")[0] for key in found.folds[0].test)
    assert not {by_key[key].group for key in found.folds[0].train} & {by_key[key].group for key in found.folds[0].test}
    one = by_key["metro_station-lisbon-1006-0"]
    assert (one.audio, one.video) == names("metro_station", 0, location=1006)
    assert (one.group, one.seconds) == ("lisbon-1006", 10.0)


def test_the_set_itself_may_be_given_too(tmp_path: Path) -> None:
    tree(tmp_path)
    assert Tau().read(tmp_path).recordings == Tau().read(tmp_path / FOLDER).recordings


def test_missing_files_are_counted_for_the_tower_that_needs_them(tmp_path: Path) -> None:
    base = tree(tmp_path) / FOLDER
    (base / names("bus", 0, location=1002)[1]).unlink()
    with pytest.raises(
        ValueError, match=r"names 40 files, 1 are missing .*video/bus-lisbon-1002-0\.mp4.*--missing 0\.03"
    ):
        Tau().read(tmp_path)
    assert len(Tau(TauOptions(media=("audio",))).read(tmp_path).recordings) == 40
    found = Tau(TauOptions(missing=0.1)).read(tmp_path)
    assert found.missing_names == ("video/bus-lisbon-1002-0.mp4",)
    assert len(found.folds[0].train) == 19


def test_waveforms_of_another_rate_are_counted_once_and_only_if_audio_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = tree(tmp_path) / FOLDER
    for path in (base / "audio").iterdir():
        rate = 44100 if path.name.startswith("bus-lisbon-1002-") else 48000
        soundfile.write(path, np.zeros((480, 2)), rate)
    caplog.set_level("INFO", "avssl")
    Tau().read(tmp_path)
    names = "(audio/bus-lisbon-1002-0.wav: 44100 Hz)"
    assert caplog.messages == [f"{base}: 2 of 40 audio files are not at TAU's 48000 Hz: they are resampled {names}"]
    Tau(TauOptions(media=("video",))).read(tmp_path)
    assert len(caplog.messages) == 1
    (base / "audio" / "bus-lisbon-1002-0.wav").write_bytes(b"no sound")
    with pytest.raises(ValueError, match=r"bus-lisbon-1002-0\.wav"):
        Tau().read(tmp_path)


def test_a_label_that_the_set_does_not_have_is_named_with_its_list(tmp_path: Path) -> None:
    audio, video = names("bus", 0, location=1002)
    tree(tmp_path, lines=[f"{audio}\t{video}\tbuss"])
    with pytest.raises(ValueError, match=r"fold1_train\.csv: the scene is airport.* not 'buss' .did you mean 'bus'"):
        Tau().read(tmp_path)


def test_lists_that_are_none_are_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"fold1_train\.csv: expected the official list"):
        Tau().read(tmp_path)
    setup = tree(tmp_path) / FOLDER / "evaluation_setup"
    (setup / "fold1_train.csv").write_text(HEAD.replace("\t", ",") + "\n")
    with pytest.raises(ValueError, match="expected columns filename_audio"):
        Tau().read(tmp_path)
    (setup / "fold1_train.csv").write_text(f"{HEAD}\naudio/bus-x-1-1.wav\n")
    with pytest.raises(ValueError, match="expected 3 columns separated by tabs"):
        Tau().read(tmp_path)
    for each in setup.iterdir():
        if each.name != "fold1_train.csv":
            each.unlink()
    with pytest.raises(FileNotFoundError, match=r"fold1_evaluate\.csv: expected the files that fold1 tests"):
        Tau().read(tmp_path)
