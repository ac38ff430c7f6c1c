"""Splits of a manifest by lists: by key or source, text or h5, and what is refused."""

from dataclasses import replace

import h5py
import pytest

from avssl.datasets.listed_splits import sets_in, split_by_lists
from avssl.datasets.manifest import Manifest, Row

NAN = float("nan")
ROW = Row("a", "", "a.mp4", "a.wav", 0.0, 1.0, 10.0, 64, 32, 16000, "binaural", "", NAN, NAN, NAN, "")


@pytest.fixture
def clips(tmp_path):
    """Clips 000001 to 000006; that of 000006 has a key of its own."""
    rows = [replace(ROW, key=f"00000{number}", split="train") for number in range(1, 6)]
    return Manifest((*rows, replace(ROW, key="odd", split="test", source="videos/000006.mp4")), tmp_path)


def write_lists(folder, **names):
    folder.mkdir(parents=True, exist_ok=True)
    for split, each in names.items():
        text = "\n".join(f"/data/binaural_audios/{name}.wav,10" for name in each)  # the last line is not ended
        (folder / f"{split}.txt").write_text(text)
    return folder


def splits(manifest):
    return {row.key: row.split for row in manifest}


def test_lists_take_the_place_of_the_manifests_own_splits(clips, tmp_path):
    lists = write_lists(tmp_path / "s", train=["000001", "000002"], val=["000003"], test=["000006"])
    found = split_by_lists(clips, lists)
    assert splits(found) == {
        "000001": "train", "000002": "train", "000003": "val", "000004": "", "000005": "", "odd": "test",
    }  # fmt: skip
    assert splits(clips)["000004"] == "train"


def test_lists_may_be_those_of_2_5d_visual_sound(clips, tmp_path):
    lists = tmp_path / "split1"
    lists.mkdir()
    for split, names in {"train": [b"/x/000001.wav", b"/x/000004.wav"], "test": [b"/x/000002.wav"]}.items():
        with h5py.File(lists / f"{split}.h5", "w") as file:
            file["audio"] = names
    found = splits(split_by_lists(clips, lists))
    assert [key for key, split in found.items() if split] == ["000001", "000002", "000004"]


def test_sets_of_lists_are_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2, 1):
        write_lists(tmp_path / f"split{number}", train=["000001"], test=["000002"])
    assert [each.name for each in sets_in(tmp_path)] == ["split1", "split2", "split10"]


def test_lists_that_cannot_be_used_are_refused_in_one_line(clips, tmp_path):
    for call, why in (
        (lambda: split_by_lists(clips, tmp_path / "gone"), r"gone: expected lists train, val or test .* got none"),
        (lambda: sets_in(tmp_path / "gone"), r"gone: expected folders with lists train and test .* got none"),
        (
            lambda: split_by_lists(clips, write_lists(tmp_path / "x", train=["000001"], test=["999"])),
            r"x: expected clips of .* in the list test, got 1 other names such as '999'",
        ),
        (
            lambda: split_by_lists(clips, write_lists(tmp_path / "y", train=["000001"], test=["000001"])),
            r"y: a clip is in one list, '000001' is in train and test",
        ),
    ):
        with pytest.raises(ValueError, match=why) as caught:
            call()
        assert "\n" not in str(caught.value)
