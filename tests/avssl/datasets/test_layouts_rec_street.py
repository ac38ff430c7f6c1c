"""Morgado et al.'s 360-degree videos as they lie on disk, at each stage of preparation; small trees of that shape."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from avssl.cli import main
from avssl.datasets.dataset import Dataset
from avssl.datasets.layout import SplitListOptions
from avssl.datasets.layouts.rec_street import RecStreet
from avssl.datasets.manifest import read_manifest
from avssl.media.numbered_audio import NumberedAudio

IDS = ("-bcdefghijk", "ab-d_fghij0", "ABCDEFGHIJK", "x0123456789", "y0123456789")
RATE = 48000


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(path: Path, *texts: str) -> None:
    """Lines without an end after the last one, as the official lists are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(texts))


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """One recording a stage; the fourth lacks sound, of the fifth there is nothing."""
    prepared, cut, raw = tmp_path / "data" / "preproc", tmp_path / "data" / "frames", tmp_path / "data" / "orig"
    touch(prepared / f"{IDS[0]}-video.mp4", prepared / f"{IDS[0]}-ambix.m4a", prepared / f"{IDS[3]}-video.mp4")
    touch(cut / IDS[0] / "video" / "000000.jpg", cut / IDS[0] / "ambix" / "000000.wav")
    touch(cut / IDS[1] / "video" / "000000.jpg", cut / IDS[1] / "ambix" / "000000.wav", cut / IDS[1] / "audio_pow.lst")
    touch(raw / f"{IDS[2]}.video.mp4", raw / f"{IDS[2]}.audio.f327.m4a", raw / f"{IDS[0]}.video.webm")
    lists = tmp_path / "meta" / "subsets"
    write(lists / "YT-All.lst", *IDS)
    write(lists / "YT-All.train.1.lst", IDS[0], IDS[3])
    write(lists / "YT-All.test.1.lst", IDS[1], IDS[4])
    write(lists / "YT-Clean.lst", IDS[0], IDS[2])
    write(lists / "YT-Clean.train.2.lst", IDS[2])
    write(lists / "YT-Clean.test.2.lst", IDS[0])
    write(lists / "REC-Street.train.1.lst", "street-01")
    write(tmp_path / "meta" / "video_formats.txt", f"{IDS[2]} 137 MONO ER", f"{IDS[3]} 137 STEREO EAC")
    return tmp_path


def splits(found: Dataset) -> dict[str, str]:
    return {each.key: each.split for each in found.recordings}


def test_each_recording_is_taken_at_its_first_whole_stage(videos: Path) -> None:
    found = RecStreet(SplitListOptions("YT-All.1")).read(videos, videos / "out")
    files = {each.key: (Path(each.video).relative_to("data"), Path(each.audio).name) for each in found.recordings}
    assert files == {
        IDS[0]: (Path("preproc") / f"{IDS[0]}-video.mp4", f"{IDS[0]}-ambix.m4a"),
        IDS[1]: (Path("frames") / IDS[1] / "video", "ambix"),
        IDS[2]: (Path("orig") / f"{IDS[2]}.video.mp4", f"{IDS[2]}.audio.f327.m4a"),
    }
    assert found.missing == {"ids": [IDS[4]], "audio": [IDS[3]], "video": []}
    assert all(
        each.projection == "equirect" and not each.problem and each.channel_layout == "auto"
        for each in found.recordings
    )


def test_a_last_line_without_newline_counts(videos: Path) -> None:
    found = RecStreet(SplitListOptions("YT-All.1")).read(videos, videos / "out")
    assert splits(found) == {IDS[0]: "train", IDS[1]: "test", IDS[2]: ""}


def test_a_data_set_is_its_own_list(videos: Path) -> None:
    assert splits(RecStreet(SplitListOptions("YT-Clean.2")).read(videos, videos / "out")) == {
        IDS[0]: "test",
        IDS[2]: "train",
    }


def test_the_first_pair_of_lists_is_one_of_which_there_are_recordings(videos: Path) -> None:
    assert RecStreet().read(videos, videos / "out").lists == "YT-All.1"


def test_without_lists_everything_is_found_and_nothing_is_split(videos: Path) -> None:
    found = RecStreet().read(videos / "data", videos / "out")
    assert splits(found) == dict.fromkeys(IDS[:3], "")
    assert found.missing == {"ids": [], "audio": [IDS[3]], "video": []}


@pytest.mark.parametrize(("stored", "projection"), [("MONO EAC", "eac"), ("STEREO EAC", "equirect")])
def test_downloaded_stereoscopic_videos_are_problems_and_cube_maps_are_not(videos, stored, projection) -> None:
    write(videos / "meta" / "video_formats.txt", f"{IDS[2]} 137 {stored}", f"{IDS[0]} 137 STEREO ER")
    found = RecStreet(SplitListOptions("YT-Clean.2")).read(videos, videos / "out")
    by_key = {each.key: each for each in found.recordings}
    assert (by_key[IDS[0]].problem, by_key[IDS[0]].projection) == ("", "equirect")
    assert by_key[IDS[2]].projection == projection
    stereo = f"video_formats.txt has STEREO EAC; give {IDS[2]}-video.mp4" in by_key[IDS[2]].problem
    assert stereo == ("STEREO" in stored)


def test_image_and_audio_of_different_stages_are_a_problem(videos: Path) -> None:
    touch(videos / "data" / "orig" / f"{IDS[3]}.audio.f338.opus")
    found = {each.key: each for each in RecStreet(SplitListOptions("YT-All.1")).read(videos, videos / "out").recordings}
    assert "expected video and audio of one stage, found" in found[IDS[3]].problem


def test_two_files_of_one_name_are_a_problem_not_a_choice(videos: Path) -> None:
    touch(videos / "data" / "orig" / f"{IDS[2]}.audio.f338.opus")
    found = {each.key: each for each in RecStreet(SplitListOptions("YT-All.1")).read(videos, videos / "out").recordings}
    assert "expected one file of this name, found" in found[IDS[2]].problem


@pytest.mark.parametrize(
    ("name", "text", "split", "why"),
    [
        ("x.txt", "", "YT-Al.1", r"no split lists named 'YT-Al\.1' \(did you mean 'YT-All\.1'\?\); REC-Street\.1, YT-"),
        (
            "x.txt",
            "",
            "REC-Street.1",
            r"expected recordings of REC-Street\.1 with video and audio, .*found 4 with vi",
        ),
        ("YT-All.test.1.lst", IDS[0], "YT-All.1", r"'-bcdefghijk' is in train and test \(1 such clips\)"),
        ("video_formats.txt", "abc MONO ER", "", "expected lines 'ID ITAG MONO|STEREO EAC|ER', this is 'abc MONO ER'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(videos: Path, name: str, text: str, split: str, why: str) -> None:
    write(videos / name, text)
    with pytest.raises(ValueError, match=why) as caught:
        RecStreet(SplitListOptions(split)).read(videos, videos / "out")
    assert "\n" not in str(caught.value)


def field(seconds: float) -> np.ndarray:
    """A plane wave from the left: W and Y alike, `(samples, 4)`."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    return np.stack([noise, noise, 0 * noise, 0 * noise], 1).astype(np.float32)


@pytest.mark.heavy
def test_a_recording_that_is_cut_up_is_prepared_as_if_it_were_whole(tmp_path: Path) -> None:
    whole, root = field(3.0), tmp_path / "in"
    clip = root / "frames" / IDS[0]
    (clip / "ambix").mkdir(parents=True)
    (clip / "video").mkdir()
    for second in range(3):
        piece = whole[second * RATE : (second + 1) * RATE]
        soundfile.write(clip / "ambix" / f"{second:06d}.wav", piece, RATE)
    for index in range(30):
        cv2.imwrite(str(clip / "video" / f"{index:06d}.jpg"), np.full((224, 448, 3), 8 * index, np.uint8))
    arguments = ["prepare", str(root), str(tmp_path / "out"), "--layout", "rec-street", "--workers", "1"]
    result = CliRunner().invoke(main, [*arguments, "--sample-rate", str(RATE), "--height", "64"])
    assert result.exit_code == 0, result.output
    (row,) = read_manifest(tmp_path / "out")
    assert (row.layout, row.seconds, row.frame_rate, row.width, row.height) == ("ambix", 3.0, 10.0, 128, 64)
    assert row.azimuth == pytest.approx(90, abs=1) or row.azimuth == pytest.approx(np.pi / 2, abs=0.02)
    written, _ = soundfile.read(tmp_path / "out" / row.audio, dtype="float32")
    gain = float((written[:, 0] @ whole[:, 0]) / (whole[:, 0] @ whole[:, 0]))
    np.testing.assert_allclose(written, gain * whole, atol=1e-4)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("000000.wav", "000002.wav"), r"expected audio file number 1, found 000002\.wav"),
        (("notes.txt",), r"expected numbered audio files \(\.wav, \.flac\), found none"),
    ],
)
def test_pieces_that_do_not_follow_one_another_are_refused(tmp_path: Path, names: tuple[str, ...], why: str) -> None:
    for name in names:
        soundfile.write(tmp_path / name, field(0.1), RATE, format="WAV")
    with pytest.raises(ValueError, match=why):
        NumberedAudio(tmp_path)


def test_a_piece_of_another_rate_is_refused_with_its_name(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "0.wav", field(0.1), RATE)
    soundfile.write(tmp_path / "1.wav", field(0.1), RATE // 2)
    with pytest.raises(ValueError, match=r"1\.wav: expected 4 channels at 48000 Hz like the first file, got 4 cha"):
        list(NumberedAudio(tmp_path).play(1.0))
