"""Clips of an evaluation as they are stored beside its metrics."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avssl.errors import InputError
from avssl.runs.evaluated_clips import (
    EMBEDDED,
    FILE,
    EvaluatedClip,
    EvaluatedClips,
    read_evaluated_clips,
    with_embeddings,
    write_evaluated_clips,
)


def clips(*scores, **about):
    return EvaluatedClips(tuple(EvaluatedClip(f"clip{at}", each) for at, each in enumerate(scores)), **about)


def test_clips_are_read_as_they_were_written(tmp_path):
    clip = EvaluatedClip(
        "a <b>\udcff", 0.25, "Beach", "Park", "v.mp4", "a.wav", 1.5, 4.0, 30.0, -5.0, 31.0, -4.0, {"audio": [1.0, 2.5]}
    )
    write_evaluated_clips(tmp_path, EvaluatedClips((clip,), tmp_path, "accuracy"))
    found = read_evaluated_clips(tmp_path)
    assert found.clips == (EvaluatedClip(**{**vars(clip), "key": "a <b>\\xff"}),)
    assert (found.root, found.score_name, found.better) == (tmp_path, "accuracy", 1)


def test_the_best_come_first_and_nan_is_left_out(tmp_path):
    assert [each.key for each in clips(0.2, 0.9, math.nan, root=tmp_path, score_name="s").ranked()] == [
        "clip1",
        "clip0",
    ]
    errors = clips(0.2, 0.9, root=tmp_path, score_name="s", better=-1)
    assert [each.key for each in errors.ranked()] == ["clip0", "clip1"]


def test_embeddings_of_many_clips_are_stored_evenly_spaced(tmp_path):
    many = EMBEDDED + 1
    found = with_embeddings(
        clips(*[0.0] * many, root=tmp_path, score_name="s").clips, "video", np.arange(many)[:, None]
    )
    write_evaluated_clips(tmp_path, EvaluatedClips(tuple(found), tmp_path, "s"))
    having, rows = read_evaluated_clips(tmp_path).embeddings("video")
    assert [each.key for each in having[:3]] == ["clip0", "clip2", "clip4"]
    np.testing.assert_array_equal(rows[:, 0], np.arange(0, many, 2))


def test_without_clips_there_is_no_file_and_a_broken_one_is_an_error(tmp_path):
    write_evaluated_clips(tmp_path, EvaluatedClips((), tmp_path, "s"))
    assert read_evaluated_clips(tmp_path) is None
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / FILE)
    with pytest.raises(InputError, match="evaluated clips of avssl has .* columns, this lacks label"):
        read_evaluated_clips(tmp_path)
