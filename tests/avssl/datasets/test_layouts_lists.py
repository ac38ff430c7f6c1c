"""FAIR-Play, MUSIC and YouTube-ASMR as they lie on disk: small trees of the official shape, and broken ones."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from avssl.datasets.layout import SplitListOptions
from avssl.datasets.layouts.asmr import YouTubeAsmr
from avssl.datasets.layouts.fair_play import FairPlay
from avssl.datasets.layouts.music import Music

PREFIX = "/private/home/rhgao/datasets/BINAURAL_MUSIC_ROOM/binaural16k/"


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_h5(path, names, prefix=PREFIX, **kind):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("audio", data=[f"{prefix}{name}.wav".encode() for name in names], **kind)


def write_txt(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(f"{name}.mp3" for name in names))


@pytest.fixture
def room(tmp_path):
    """Clip 1 as a video, 2 and 3 as frames, 4 without video, 5 without audio; 6 only in the lists."""
    waveforms = [tmp_path / "binaural_audios" / f"00000{each}.wav" for each in (1, 2, 3, 4)]
    touch(*waveforms, tmp_path / "binaural16k" / "000001.wav")
    touch(tmp_path / "videos" / "000001.mp4", tmp_path / "videos" / "000005.mp4")
    touch(tmp_path / "frames" / "000001" / "1.jpg", tmp_path / "frames" / "000002.mp4" / "000001.png")
    touch(tmp_path / "frames" / "000003" / "1.jpg", tmp_path / "new_patches" / "000004" / "1.jpg")
    for split in (1, 2, 10):
        write_h5(tmp_path / "splits" / f"split{split}" / "train.h5", ["000001", f"00000{split % 7 + 1}"])
        write_h5(tmp_path / "splits" / f"split{split}" / "val.h5", ["000006"])
    write_txt(tmp_path / "new_splits" / "split1" / "train.txt", ["000003", "000001"])
    write_txt(tmp_path / "new_splits" / "split1" / "test.txt", ["000002"])
    return tmp_path


def splits(found):
    return {each.key: each.split for each in found.recordings}


def test_fair_play_pairs_audio_with_its_video_or_else_its_frames(room):
    found = FairPlay().read(room, room / "out")
    pairs = [(each.video, each.audio) for each in found.recordings]
    assert pairs == [
        ("videos/000001.mp4", "binaural_audios/000001.wav"),
        ("frames/000002.mp4", "binaural_audios/000002.wav"),
        ("frames/000003", "binaural_audios/000003.wav"),
    ]
    assert all(
        each.projection == "flat" and each.channel_layout == "binaural" and each.frame_rate == 10
        for each in found.recordings
    )
    assert found.missing == {"clips": ["000006"], "audio": ["000005"], "video": ["000004"]}


def test_fair_play_reads_byte_strings_behind_a_foreign_prefix(room):
    found = FairPlay().read(room, room / "out")
    assert (found.lists, splits(found)) == ("splits/split1", {"000001": "train", "000002": "train", "000003": ""})
    write_h5(room / "splits" / "split1" / "train.h5", ["000003"], prefix="C:\\data\\", dtype=h5py.string_dtype())
    assert splits(FairPlay().read(room, room / "out")) == {"000001": "", "000002": "", "000003": "train"}


def test_fair_play_counts_a_last_line_without_newline(room):
    found = FairPlay(SplitListOptions("new_splits/split1")).read(room, room / "out")
    assert splits(found) == {"000001": "train", "000002": "test", "000003": "train"}


@pytest.mark.parametrize(
    ("split", "why"),
    [
        (
            "splitt2",
            r"no split lists named 'splitt2' \(did you mean 'split2'\?\); splits/split1, splits/split2, splits/s",
        ),
        ("split1", "'split1' may be splits/split1 or new_splits/split1: say which"),
        ("../splits/split1", "no split lists named"),
    ],
)
def test_a_set_of_lists_that_is_not_there_is_one_clear_line(room, split, why):
    with pytest.raises(ValueError, match=why):
        FairPlay(SplitListOptions(split)).read(room, room / "out")
    assert FairPlay(SplitListOptions("split10")).read(room, room / "out").lists == "splits/split10"


def test_names_in_lists_lead_to_no_file_outside(room, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    touch(outside / "000009.wav", outside / "000009.mp4")
    write_h5(room / "splits" / "split1" / "train.h5", ["000009", "..", "../000001", ""], prefix=f"{outside}/")
    found = FairPlay().read(room, room / "out")
    assert splits(found) == {"000001": "train", "000002": "", "000003": ""}
    assert "000009" in found.missing["clips"]


def break_h5(room):
    (room / "splits" / "split1" / "train.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))


def cut_h5(room):
    path = room / "splits" / "split1" / "train.h5"
    path.write_bytes(path.read_bytes()[:1500])


def other_h5(room):
    with h5py.File(room / "splits" / "split1" / "train.h5", "w") as file:
        file["audio"] = np.zeros(3)


def unnamed_h5(room):
    with h5py.File(room / "splits" / "split1" / "train.h5", "w") as file:
        file["video"] = [b"000001.wav"]


def text_for_h5(room):
    (room / "splits" / "split1" / "train.h5").write_text("000001.wav\n")


def in_two(room):
    write_h5(room / "splits" / "split1" / "test.h5", ["000001"])


def no_audio(room):
    for path in (room / "binaural_audios").iterdir():
        path.unlink()
    (room / "binaural16k" / "000001.wav").unlink()


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (break_h5, r"train\.h5: expected an h5 file with a list of names, cannot be read"),
        (cut_h5, r"train\.h5: expected an h5 file with a list of names, cannot be read"),
        (other_h5, r"train\.h5: expected an h5 file with a list of names under 'audio', there is none"),
        (unnamed_h5, r"train\.h5: expected an h5 file with a list of names under 'audio', there is none"),
        (text_for_h5, r"train\.h5: expected an h5 file with a list of names, cannot be read"),
        (in_two, r"splits/split1: a clip is in one list, '000001' is in train and test \(1 such clips\)"),
        (no_audio, "found 2 videos, 3 folders of frames and 0 sound files"),
    ],
)
def test_fair_play_says_in_one_line_what_is_broken(room, broken, why):
    broken(room)
    with pytest.raises(ValueError, match=why) as caught:
        FairPlay().read(room, room / "out")
    assert "\n" not in str(caught.value)


def test_fair_play_takes_clips_handed_out_one_by_one(tmp_path):
    for name, identity in (("example-00001", "000001"), ("example-00002", None)):
        touch(tmp_path / name / "frames" / "frame0001.jpg", tmp_path / name / "audio" / "audio.wav")
        if identity:
            (tmp_path / name / "meta.json").write_text(json.dumps({"u_id": identity}))
    found = FairPlay().read(tmp_path, tmp_path / "out")
    assert [each.key for each in found.recordings] == ["000001", "example-00002"]
    assert [each.key for each in FairPlay().read(tmp_path / "example-00001", tmp_path).recordings] == ["000001"]
    (tmp_path / "example-00001" / "meta.json").write_text("[")
    with pytest.raises(ValueError, match=r"meta\.json: expected a clip's id"):
        FairPlay().read(tmp_path, tmp_path / "out")


IDS = ("-bcdefghijk", "ab-d_fghij0", "ABCDEFGHIJK", "x0123456789")


@pytest.fixture
def band(tmp_path):
    """Four listed clips: a video with its sound; sound beside a video; sound and frames; nothing."""
    solo = {"version": 1, "videos": {"cello": [IDS[0], IDS[1]], "erhu": [IDS[3]]}}
    (tmp_path / "MUSIC21_solo_videos.json").write_text(json.dumps(solo))
    (tmp_path / "MUSIC_duet_videos.json").write_text(json.dumps({"videos": {"cello flute": [IDS[2]]}}))
    touch(tmp_path / "cello" / f"{IDS[0]}.mp4", tmp_path / "video" / "cello" / f"{IDS[1]}.webm")
    touch(tmp_path / "audio" / "cello" / f"{IDS[1]}.wav", tmp_path / "audio" / "cello" / f"{IDS[2]}.mp3")
    touch(tmp_path / "frames" / "duet" / f"{IDS[2]}.mp4" / "1.jpg", tmp_path / "cello" / "unlisted.mp4")
    return tmp_path


def test_music_finds_what_its_lists_name_wherever_it_lies(band):
    found = Music().read(band, band / "out")
    files = {each.key: (Path(each.video).name, Path(each.audio).name) for each in found.recordings}
    assert files == {
        IDS[0]: (f"{IDS[0]}.mp4", f"{IDS[0]}.mp4"),
        IDS[1]: (f"{IDS[1]}.webm", f"{IDS[1]}.wav"),
        IDS[2]: (f"{IDS[2]}.mp4", f"{IDS[2]}.mp3"),
    }
    assert found.missing == {"clips": [IDS[3]], "audio": [], "video": []}
    assert all(each.projection == "flat" and each.channel_layout == "stereo" for each in found.recordings)


def test_music_two_files_of_one_name_are_a_problem_not_a_choice(band):
    touch(band / "again" / f"{IDS[0]}.mp4")
    problems = {each.key: each.problem for each in Music().read(band, band / "out").recordings}
    assert "expected one file of this name, found" in problems.pop(IDS[0])
    assert set(problems.values()) == {""}


def test_music_reads_the_splits_of_sep_stereo(tmp_path):
    for name in ("00000", "00001"):
        touch(tmp_path / "audio_resave" / f"{name}.wav", tmp_path / "frames" / name / "1.jpg")
    (tmp_path / "train.csv").write_text("path/audio_resave/00000.wav,path/frames/00000")
    (tmp_path / "test.csv").write_text("/x/audio_resave/00001.wav,/x/frames/00001,1580\r\na/00002.wav,b/00002\r\n")
    found = Music().read(tmp_path, tmp_path / "out")
    assert splits(found) == {"00000": "train", "00001": "test"}
    assert found.missing["clips"] == ["00002"]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("MUSIC_solo_videos.json", '{"videos": {"cello"', "cannot be read: "),
        ("MUSIC_solo_videos.json", "[" * 100_000, "cannot be read: "),
        ("MUSIC_solo_videos.json", '{"videos": ["a"]}', "found another shape"),
        ("MUSIC_solo_videos.json", '{"clips": {}}', "found another shape"),
        ("MUSIC_solo_videos.json", '{"videos": {"cello": [1]}}', "1 is no id"),
        ("train.csv", "ytid,start_s,end_s\nabc,1,2", "expected lines 'SOUND,FRAMES' of one clip"),
        ("train.csv", "a/1.wav,b/2", "expected lines 'SOUND,FRAMES' of one clip"),
        ("train.csv", "a/1.wav", "expected lines 'SOUND,FRAMES' of one clip"),
        ("train.csv", '"', "expected clips in MUSIC's lists"),
        ("notes.txt", "", "expected clips in MUSIC's lists"),
    ],
)
def test_music_says_in_one_line_what_is_wrong_with_a_list(tmp_path, name, text, why):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=why) as caught:
        Music().read(tmp_path, tmp_path / "out")
    assert "\n" not in str(caught.value)


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def whispers(tmp_path):
    names = (f"{IDS[0]}_30000_40000", f"{IDS[1]}_1001_4350", f"{IDS[2]}_0_3000")
    for name in names[:2]:
        touch(tmp_path / "data" / "video" / f"{name}.mp4", tmp_path / "data" / "audio" / f"{name}.flac")
    touch(tmp_path / "data" / "audio" / f"{names[2]}.flac", tmp_path / "frames" / f"folder_{names[2]}" / "000001.jpg")
    touch(tmp_path / "data" / "video" / "trailer.mp4")
    lists = tmp_path / "youtube_asmr"
    write_csv(lists / "train.csv", [["ytid", "start_s", "end_s"], [IDS[0], "30", "40.0"], [IDS[1], "1.001", "4.35"]])
    write_csv(lists / "val.csv", [["end_s", "start_s", "ytid"], ["9", "3", IDS[3]]])
    return tmp_path


def test_asmr_clips_are_named_by_id_and_milliseconds(whispers):
    found = YouTubeAsmr().read(whispers, whispers / "out")
    assert splits(found) == {
        f"{IDS[0]}_30000_40000": "train",
        f"{IDS[1]}_1001_4350": "train",
        f"{IDS[2]}_0_3000": "",
    }
    assert found.missing == {"clips": [f"{IDS[3]}_3000_9000"], "audio": [], "video": []}
    assert {Path(each.video).name for each in found.recordings if Path(each.video).parent.name == "frames"} == {
        f"folder_{IDS[2]}_0_3000"
    }


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (
            [["video", "from", "to"], ["a", "1", "2"]],
            "expected a header with columns ytid,start_s,end_s, found 'video,from",
        ),
        ([["abc", "1", "2"]], "expected a header with columns ytid,start_s,end_s, found 'abc,1,2'"),
        ([], "expected a header with columns ytid,start_s,end_s, found ''"),
        ([["ytid", "start_s", "end_s"], ["a", "x", "2"]], "expected id, start and end in seconds, this is 'a,x,2'"),
        ([["ytid", "start_s", "end_s"], ["a", "1"]], "expected id, start and end in seconds, this is 'a,1'"),
        ([["ytid", "start_s", "end_s"], ["a", "1", "1e999999"]], "expected id, start and end in seconds"),
        ([["ytid", "start_s", "end_s"], ["a", "nan", "2"]], "expected id, start and end in seconds"),
    ],
)
def test_asmr_says_in_one_line_which_columns_it_wants(whispers, rows, why):
    write_csv(whispers / "youtube_asmr" / "train.csv", rows)
    with pytest.raises(ValueError, match=why):
        YouTubeAsmr().read(whispers, whispers / "out")
