"""Folds over videos: every video is tested once in a partition, none is on both sides, whatever its clips."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from avssl.datasets.manifest import Manifest, Row
from avssl.errors import InputError
from avssl.evaluation.video_folds import deal_folds, video_of_clips

NUMBERED = r"(.+)_\d+"


def row(key: str, source: str | None = None) -> Row:
    source = f"films/{key}.webm" if source is None else source
    return Row(key, "", f"{key}.mp4", f"{key}.wav", 0.0, 10.0, 16.0, 128, 64, 24000, "ambix", "", 0.0, 0.0, 0.1, source)


def manifest(*keys: str) -> Manifest:
    return Manifest(tuple(row(key) for key in keys), Path("clips"))


CLIPS = manifest("a_b_1", "a_b_20", "a_b_300", "c_5", "d_5", "d_6", "e_0", "f_0", "g-h_7")


def test_clips_of_one_recording_are_one_video() -> None:
    clips = Manifest((row("x", "film.mp4"), row("y", "film.mp4"), row("z", "")), Path("clips"))
    assert video_of_clips(clips) == {"x": "film.mp4", "y": "film.mp4", "z": "z"}
    assert video_of_clips(clips, "key") == {"x": "x", "y": "y", "z": "z"}


def test_an_expression_names_videos_by_the_file_names_of_recordings() -> None:
    found = video_of_clips(CLIPS, NUMBERED)
    assert found == {
        "a_b_1": "a_b", "a_b_20": "a_b", "a_b_300": "a_b", "c_5": "c", "d_5": "d", "d_6": "d", "e_0": "e", "f_0": "f",
        "g-h_7": "g-h",
    }  # fmt: skip
    assert video_of_clips(manifest("abcd-1", "abef-1"), "^..") == {"abcd-1": "ab", "abef-1": "ab"}


@pytest.mark.parametrize(("pattern", "message"), [
    ("(", r"group-by: expected one of source, .*, or a regular expression, got '\('"),
    (r"(.+)-\d+", "group-by: expected .* to match the name of every recording, got 'a_b_1'"),
    ("x*", "to match the name of every recording"),
])  # fmt: skip
def test_an_expression_that_names_no_video_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        video_of_clips(CLIPS, pattern)


@pytest.mark.parametrize("seed", range(20))
def test_no_video_is_on_both_sides_and_each_is_tested_once(seed: int) -> None:
    videos = video_of_clips(CLIPS, NUMBERED)
    folds = deal_folds(CLIPS, videos, 3, seed)
    for fold in folds:
        sides = [{videos[each.key] for each in side} for side in (fold.training, fold.test)]
        assert not sides[0] & sides[1]
        assert len(sides[1]) == 2
        assert sorted(each.key for side in (fold.training, fold.test) for each in side) == sorted(videos)
    assert sorted(each.key for fold in folds for each in fold.test) == sorted(videos)


def test_partitions_depend_on_the_seed_only() -> None:
    videos = video_of_clips(CLIPS, NUMBERED)
    assert deal_folds(CLIPS, videos, 3, 4) == deal_folds(CLIPS, videos, 3, 4)
    assert len({str(deal_folds(CLIPS, videos, 3, seed)) for seed in range(10)}) > 1


@pytest.mark.parametrize(("folds", "message"), [
    (4, "expected at least 2 videos for each of 4 folds, got 6 videos of 9 clips; choose at most 3 folds"),
    (1, "expected at least 2 folds, got 1"),
])  # fmt: skip
def test_fewer_videos_than_folds_need_are_refused(folds: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        deal_folds(CLIPS, video_of_clips(CLIPS, NUMBERED), folds, 0)


def test_one_video_only_is_refused() -> None:
    clips = manifest("a_1", "a_2", "a_3", "a_4")
    with pytest.raises(InputError, match="for each of 2 folds, got 1 video of 4 clips; add clips of other videos"):
        deal_folds(clips, video_of_clips(clips, NUMBERED), 2, 0)


def test_recordings_that_differ_in_a_number_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        video_of_clips(CLIPS)
    assert "3 recordings are named a_b and a number" in caplog.text
    caplog.clear()
    video_of_clips(manifest("a_1", "b_1"))
    assert not caplog.text
