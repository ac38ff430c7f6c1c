"""UCF101, HMDB51 and folders of classes, on trees of the official shape; files are empty, nothing is decoded."""

from itertools import cycle, islice
from pathlib import Path

import pytest

from avssl.datasets.dataset import Dataset
from avssl.datasets.layout import FileListOptions
from avssl.datasets.layouts import video_lists
from avssl.datasets.layouts.class_folders import ClassFolderOptions, ClassFolders
from avssl.datasets.layouts.hmdb51 import Hmdb51
from avssl.datasets.layouts.ucf101 import Ucf101

UCF = ["ApplyEyeMakeup", "HandstandPushups", "YoYo"]
HMDB = ["cartwheel", "ride_bike", "wave"]
ODD = "[HD] Tom & Jerry #2 (1)_wave_f_nm_np1_fr_med_0.avi"


def touch(path: Path) -> None:
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
    path.touch()


def spelled(label: str) -> str:
    """As the files are, not the class."""
    return label.replace("HandstandPushups", "HandStandPushups")


def ucf(root: Path, media: str = "UCF-101", classes: list[str] = UCF, end: str = "\n", counts: int | None = 4) -> Path:
    """The official tree: 25 groups a class, a quarter of them tested in each split; 4 clips each."""
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text(end.join(f"{n} {name}" for n, name in enumerate(classes, 1)) + end, newline="")
    for split in (1, 2, 3):
        parts: dict[str, list[str]] = {"train": [], "test": []}
        tested = range(7 * split - 6, 7 * split + 1)
        for number, label in enumerate(classes, 1):
            for group in range(1, 26):
                for clip in range(1, (counts or 4) + 1):
                    name = f"{label}/v_{spelled(label)}_g{group:02}_c{clip:02}.avi"
                    touch(root / media / name)
                    parts["test" if group in tested else "train"].append(
                        name if group in tested else f"{name} {number}"
                    )
        for part, named in parts.items():
            (lists / f"{part}list{split:02}.txt").write_text(end.join(named) + end, newline="")
    return root


def hmdb(root: Path, media: str = "", lists: str = "testTrainMulti_7030_splits") -> Path:
    """The official tree: a list a class and split, 70 clips to train on, 30 to test, 12 for neither."""
    (root / lists).mkdir(parents=True)
    for label in HMDB:
        names = [f"Film{n // 4}_{label}_f_cm_np1_fr_goo_{n % 4}.avi" for n in range(112)]
        names[3] = ODD if label == "wave" else names[3]
        for split in (1, 2, 3):
            codes = islice(cycle([1] * 7 + [2] * 3), 10 * split, 10 * split + 100)
            lines = [f"{name} {code} " for name, code in zip(names, [*codes, *[0] * 12], strict=True)]
            (root / lists / f"{label}_test_split{split}.txt").write_text("\n".join(lines) + "\n")
        for name in names[:100]:
            touch(root / media / label / name)
    return root


def by_key(found: Dataset) -> dict[str, str]:
    return {each.key: each.label for each in found.recordings}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_ucf101s_splits_are_its_lists(tmp_path: Path, end: str) -> None:
    found = Ucf101().read(ucf(tmp_path, end=end))
    assert (found.name, found.root, found.classes) == ("UCF101", tmp_path, tuple(UCF))
    assert [(fold.name, len(fold.train), len(fold.test)) for fold in found.folds] == [
        (f"split{n}", 3 * 18 * 4, 3 * 7 * 4) for n in (1, 2, 3)
    ]
    labels = by_key(found)
    assert labels["UCF-101/HandstandPushups/v_HandStandPushups_g01_c01.avi"] == "HandstandPushups"
    assert all((found.root / each.video).is_file() for each in found.recordings)
    groups = {each.key: each.group for each in found.recordings}
    for fold in found.folds:
        assert not {groups[key] for key in fold.train} & {groups[key] for key in fold.test}
    assert len(set(groups.values())) == 75


@pytest.mark.heavy
def test_ucf101_of_full_size_has_the_official_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Split 1: 9,537 and 3,783 lines of 101 classes. `walk` is patched: 13,320 files take long to create."""
    folders: dict[str, list[str]] = {}

    def patched_walk(root, exclude=None):
        return ((root / "UCF-101" / label, [], names) for label, names in folders.items())

    monkeypatch.setattr(video_lists, "walk", patched_walk)
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    classes = [f"Class{n:03}" for n in range(1, 102)]
    (lists / "classInd.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(classes, 1)))
    for part, total, groups in (("train", 9537, range(8, 26)), ("test", 3783, range(1, 8))):
        places = [(c, label, group) for clip in range(1, 9) for group in groups for c, label in enumerate(classes, 1)]
        clips = [(c, f"{label}/v_{label}_g{group:02}_c{n // (101 * len(groups)) + 1:02}.avi")
                 for n, (c, label, group) in enumerate(places[:total])]  # fmt: skip
        lines = [f"{name} {c}" if part == "train" else name for c, name in clips]
        (lists / f"{part}list01.txt").write_text("\n".join(lines))
        for _, name in clips:
            folders.setdefault(name.split("/")[0], []).append(name.split("/")[1])
    (fold,) = Ucf101().read(tmp_path).folds
    assert (len(fold.train), len(fold.test)) == (9537, 3783)


def test_ucf101_is_found_where_people_keep_it(tmp_path: Path) -> None:
    official = by_key(Ucf101().read(ucf(tmp_path / "official")))
    avsa = Ucf101().read(ucf(tmp_path / "avsa" / "data" / "ucf101", media="data").parents[1])
    assert {key.replace("data/", "UCF-101/"): label for key, label in by_key(avsa).items()} == official
    inside = Ucf101().read(tmp_path / "official" / "UCF-101")
    assert {f"UCF-101/{key}": label for key, label in by_key(inside).items()} == official
    flat = ucf(tmp_path / "flat")
    for path in list((flat / "UCF-101").glob("*/*")):
        path.rename(flat / "UCF-101" / path.with_suffix(".MP4").name)
    assert sorted(by_key(Ucf101().read(flat)).values()) == sorted(official.values())


@pytest.mark.parametrize("folder", ["HandStandPushups", "handstandpushups"])
def test_the_case_of_letters_does_not_count(tmp_path: Path, folder: str) -> None:
    root = ucf(tmp_path)
    (root / "UCF-101" / "HandstandPushups").rename(root / "UCF-101" / folder)
    assert by_key(Ucf101().read(root))[f"UCF-101/{folder}/v_HandStandPushups_g01_c01.avi"] == "HandstandPushups"


def test_hmdb51s_splits_are_seventy_and_thirty_a_class(tmp_path: Path) -> None:
    found = Hmdb51().read(hmdb(tmp_path))
    assert (found.name, found.classes) == ("HMDB51", tuple(HMDB))
    labels = by_key(found)
    for fold in found.folds:
        for part, count in ((fold.train, 70), (fold.test, 30)):
            assert [sum(labels[key] == label for key in part) for label in HMDB] == [count] * 3
    assert [fold.name for fold in found.folds] == ["split1", "split2", "split3"]
    assert labels[f"wave/{ODD}"] == "wave"
    groups = {each.key: each.group for each in found.recordings}
    assert groups[f"wave/{ODD}"] == "wave/[HD] Tom & Jerry #2 (1)"
    assert groups["cartwheel/Film2_cartwheel_f_cm_np1_fr_goo_1.avi"] == "cartwheel/Film2"
    assert len(labels) == 300


@pytest.mark.parametrize(
    ("place", "media", "lists"),
    [
        ("", "videos", "ucfTrainTestlist"),
        ("data/hmdb", "videos", "ucfTrainTestlist"),
        ("", "", "splits/testTrainMulti_7030_splits"),
        ("", "hmdb51_org", "metafile"),
    ],
)
def test_hmdb51_is_found_where_people_keep_it(tmp_path: Path, place: str, media: str, lists: str) -> None:
    base = hmdb(tmp_path / place, media, lists)
    (base / "classes.txt").write_text("".join(f"{name}\r\n" for name in reversed(HMDB)), newline="")
    found = Hmdb51().read(tmp_path)
    assert len(found.recordings) == 300
    assert found.classes == tuple(reversed(HMDB))
    assert Hmdb51.matches(tmp_path)
    assert not Ucf101.matches(tmp_path)


def test_missing_files_are_counted_and_listed_up_to_a_share(tmp_path: Path) -> None:
    root = ucf(tmp_path)
    gone = sorted((root / "UCF-101" / "YoYo").glob("*_g25_*"))
    for path in gone:
        path.unlink()
    with pytest.raises(ValueError, match=r"names 300 files, 4 are missing .* 'YoYo/v_YoYo_g25_c01.avi'"):
        Ucf101().read(root)
    found = Ucf101(FileListOptions(missing=0.02)).read(root)
    assert found.missing_names == tuple(f"YoYo/{path.name}" for path in gone)
    assert len(found.recordings) == 296
    assert [len(fold.train) for fold in found.folds] == [212, 212, 212]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("trainlist01.txt", "YoYoo/v_YoYoo_g01_c01.avi 3", r"class 'YoYoo', which classInd.txt lacks \(did you mean"),
        ("trainlist01.txt", "YoYo/v_YoYo_g09_c01.avi 2", "gives class YoYo the number 3"),
        ("trainlist02.txt", "YoYo/v_YoYo_g01_c01.avi 102", "gives class YoYo the number 3"),
        ("testlist01.txt", "what is this", "expected lines 'Class/file.avi'"),
        ("testlist01.txt", "YoYo/v_YoYo_g25_c01.avi", "split1 trains on 1 videos that it tests"),
        ("classInd.txt", "3 Another", "each number once, got '3 Another'"),
        ("classInd.txt", "9 Another", "the numbers 1 to 4"),
        ("classInd.txt", "Another", "expected lines 'NUMBER CLASS'"),
    ],
)
def test_lists_of_ucf101_that_contradict_are_refused_in_a_line(
    tmp_path: Path, name: str, line: str, message: str
) -> None:
    path = ucf(tmp_path) / "ucfTrainTestlist" / name
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=message) as caught:
        Ucf101().read(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_lists_of_hmdb51_that_cannot_be_followed_are_refused_in_a_line(tmp_path: Path) -> None:
    root = hmdb(tmp_path)
    path = root / "testTrainMulti_7030_splits" / "wave_test_split2.txt"
    whole = path.read_text()
    path.write_text(whole + "another.avi 3\n")
    with pytest.raises(ValueError, match="code 0, 1 or 2, got 'another.avi 3'"):
        Hmdb51().read(root)
    path.write_text(whole)
    (root / "classes.txt").write_text("cartwheel\nride_bike\nwaves\n")
    with pytest.raises(ValueError, match="class 'wave', which .*classes.txt lacks"):
        Hmdb51().read(root)
    (root / "classes.txt").unlink()
    path.unlink()
    with pytest.raises(ValueError, match=r"wave_test_split2.txt is missing"):
        Hmdb51().read(root)
    for found, missing in ((Ucf101, "classInd.txt"), (Hmdb51, "CLASS_test_split1.txt")):
        with pytest.raises(ValueError, match=missing):
            found().read(tmp_path / "nowhere")


def test_made_up_trees_are_named_as_such(tmp_path: Path) -> None:
    for made, layout in ((ucf(tmp_path / "a"), Ucf101), (hmdb(tmp_path / "b"), Hmdb51)):
        (made / "scenes.json").write_text('{"world": "actions"}')
        assert "synthetic actions" in layout().read(made).name


def test_own_folders_are_split_by_recording_and_seed(tmp_path: Path) -> None:
    for label in ("jump", "lie & wait [x]"):
        for recording in range(8):
            for clip in range(3):
                touch(tmp_path / label / f"recording{recording}" / f"{clip}.mkv")
    touch(tmp_path / "jump" / "notes.txt")
    touch(tmp_path / ".hidden" / "a.mp4")
    found, again = (ClassFolders().read(tmp_path) for _ in range(2))
    assert found == again
    assert found.classes == ("jump", "lie & wait [x]")
    groups = {each.key: each.group for each in found.recordings}
    for fold in found.folds:
        assert (len(fold.train), len(fold.test)) == (36, 12)
        assert not {groups[key] for key in fold.train} & {groups[key] for key in fold.test}
    assert (
        len({fold.test for fold in (*found.folds, *ClassFolders(ClassFolderOptions(seed=1)).read(tmp_path).folds)}) == 6
    )


def test_own_folders_that_are_split_stay_so(tmp_path: Path) -> None:
    for part in ("Train", "val"):
        for label in ("jump", "lie"):
            touch(tmp_path / part / label / "a.mp4")
    (fold,) = ClassFolders().read(tmp_path).folds
    assert (fold.train, fold.test) == (("Train/jump/a.mp4", "Train/lie/a.mp4"), ("val/jump/a.mp4", "val/lie/a.mp4"))
    touch(tmp_path / "val" / "run" / "a.mp4")
    with pytest.raises(ValueError, match="there are videos of class 'run'"):
        ClassFolders().read(tmp_path)
    touch(tmp_path / "one" / "jump" / "a.mp4")
    with pytest.raises(ValueError, match="two or more classes, each a folder of videos, found jump"):
        ClassFolders().read(tmp_path / "one")
