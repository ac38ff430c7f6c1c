"""Splits by shares: by name alone, whole groups, and shares as given."""

from collections import Counter
from pathlib import Path

import pytest

from avssl.datasets.dataset import Dataset, Recording
from avssl.datasets.share_splits import group_name, parse_shares, split_by_shares
from avssl.errors import InputError


def dataset(names, **options):
    return Dataset("mine", Path("root"), tuple(Recording(name, f"{name}.mp4", **options) for name in names))


def splits(found):
    return {each.key: each.split for each in found.recordings}


@pytest.mark.parametrize(
    ("text", "shares"),
    [("0.8/0.1/0.1", (0.8, 0.1, 0.1)), ("0.7/.3", (0.7, 0.3)), ("1e-1/0/.9", (0.1, 0, 0.9)), ("split1", None),
     ("new_splits/split2", None), ("", None), ("YT-Clean.2", None)],
)  # fmt: skip
def test_shares_are_numbers_and_names_of_lists_are_not(text, shares):
    assert parse_shares(text) == shares


@pytest.mark.parametrize("text", ["0.8/0.1", "0.5/0.2/0.2/0.1", "1.2/-0.1/-0.1", "0/0.5/0.5", "0.9/0.1/0"])
def test_shares_that_make_no_splits_are_refused(text):
    with pytest.raises(InputError, match="expected shares train/val/test or train/test whose sum is 1"):
        parse_shares(text)


def test_shares_of_many_groups_are_those_asked_for():
    found = split_by_shares(dataset(f"film{number}x" for number in range(4000)), (0.8, 0.1, 0.1))
    counts = Counter(splits(found).values())
    assert counts["train"] == pytest.approx(3200, abs=4 * (4000 * 0.8 * 0.2) ** 0.5)  # four standard deviations
    assert counts["val"] == pytest.approx(400, abs=4 * (4000 * 0.1 * 0.9) ** 0.5)


def test_new_files_move_no_others():
    few = splits(split_by_shares(dataset(f"film{number}x" for number in range(100)), (0.8, 0.1, 0.1)))
    many = splits(split_by_shares(dataset(f"film{number}x" for number in range(1000)), (0.8, 0.1, 0.1)))
    assert {key: many[key] for key in few} == few


def test_a_smaller_training_share_is_part_of_a_larger_one():
    names = [f"film{number}x" for number in range(200)]
    small, large = (splits(split_by_shares(dataset(names), (share, 1 - share))) for share in (0.5, 0.8))
    assert {key for key in names if small[key] == "train"} < {key for key in names if large[key] == "train"}


@pytest.mark.parametrize("rule", ["source", r"(v\d+)", "folder"])
def test_groups_never_straddle_splits(rule):
    names = [f"f{video % 7}-{video}/v{video}_{start}" for video in range(60) for start in (0, 10, 130)]
    found = split_by_shares(dataset(names), (0.6, 0.2, 0.2), rule)
    groups = {each.group: set() for each in found.recordings}
    for each in found.recordings:
        groups[each.group].add(each.split)
    assert len(groups) == 60
    assert all(len(each) == 1 for each in groups.values())


@pytest.mark.parametrize(
    ("rule", "path", "group"),
    [
        ("source", "a/tAiVUt5vE34l_40.webm", "tAiVUt5vE34l"),
        ("source", "NU4Yqtz-tgQ_135.webm", "NU4Yqtz-tgQ"),
        ("source", "dQw4w9WgXcQ_12000_22000.mp4", "dQw4w9WgXcQ"),
        ("source", "000123.mp4", "000123"),
        ("clip", "a/tAiVUt5vE34l_40.webm", "a/tAiVUt5vE34l_40"),
        ("folder", "a/b/x.mp4", "a/b"),
        ("^(..)", "a1_x.mp4", "a1"),
    ],
)
def test_group_is_that_of_its_rule(rule, path, group):
    assert group_name(rule)(Recording("key", path)) == group


def test_the_group_of_a_layout_is_the_source():
    assert group_name("source")(Recording("key", "x_1.mp4", group="session 3")) == "session 3"


@pytest.mark.parametrize(
    ("rule", "why"),
    [("sources", "expected source, clip, folder or a regular"), ("(", "got '\\('"), ("(zzz)", "got none in 'film0x'")],
)
def test_a_rule_without_groups_is_refused(rule, why):
    with pytest.raises(InputError, match=why):
        split_by_shares(dataset(f"film{number}x" for number in range(100)), (0.8, 0.2), rule)


def test_an_empty_split_is_refused_before_hours_of_work():
    with pytest.raises(InputError, match="got none in val and test of 1 groups|got none in train"):
        split_by_shares(dataset(["clip_1", "clip_2"]), (0.8, 0.1, 0.1))


def test_recordings_with_splits_of_their_own_are_refused():
    with pytest.raises(InputError, match="leave --split out"):
        split_by_shares(dataset(["a", "b"], split="train"), (0.8, 0.2))
