"""Evaluation on a held-out clip: outputs with its frames, black and mirrored frames; each frame decoded once."""

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize import evaluation_clips
from avssl_downstream.spatialize.evaluation_rows import FRAME_TRANSFORMS, EvaluationRows
from avssl_downstream.spatialize.frame_features import FrameCache, FrameFeatures, RecordedFrames
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.streaming import StreamingSpatializer, generate_stream

from avssl.datasets.manifest import Manifest, Row
from avssl.media import write_audio
from avssl.models.runtime import single_process

RATE, SECONDS = 16000, 3.0


@pytest.fixture
def clip(film, tone, tmp_path):
    """A tone that is louder on the left, and frames whose bright side changes."""
    film("in.mp4")
    write_audio(tmp_path / "in.wav", torch.cat([tone(), 0.5 * tone()]), RATE)
    nan = float("nan")
    row = Row("a", "test", "silent-in.mp4", "in.wav", 0.0, SECONDS, 20.0, 160, 90, RATE, "binaural", "", nan, nan, nan,
              "")  # fmt: skip
    return row, Manifest((row,), tmp_path)


def test_frames_are_decoded_once_for_all_methods(clip, pan, monkeypatch):
    row, manifest = clip
    decoded, read = [], evaluation_clips.iterate_frames

    def counted(path, times, *more):
        for time, frame in zip(times, read(path, times, *more), strict=True):
            decoded.append(time)
            yield frame

    monkeypatch.setattr(evaluation_clips, "iterate_frames", counted)
    fabric = single_process("32-true")
    evaluation = EvaluationRows(pan, torch.ones(2, 1), SpatializeOptions(), fabric)
    target = evaluation_clips.target_audio(row, manifest, pan)
    outputs = evaluation.outputs(row, manifest, target)
    assert len(decoded) == len(set(decoded)) <= SECONDS * pan.frame_rate
    for name, transform in {"test": None, **FRAME_TRANSFORMS}.items():
        frames = RecordedFrames(pan, evaluation_clips.clip_frames(row, manifest), SECONDS)
        features = FrameFeatures(pan, frames, transform)
        spatializer = StreamingSpatializer(pan, features, RATE, evaluation.schedule, fabric)
        separate = torch.cat(list(generate_stream(spatializer, [target.mean(0, keepdim=True)])), 1)
        torch.testing.assert_close(outputs[name], separate, atol=1e-6, rtol=1e-5)
    left, right = (outputs[name][:, :8000].square().sum(1) for name in ("test", "flipped"))
    assert left[0] > 10 * left[1]  # it is bright on the left at first
    assert right[1] > 10 * right[0]


def test_cached_frames_serve_several_readings_at_once():
    asked = []

    def frames(times, size):
        for time in times:
            asked.append(time)
            yield np.full((1, 1, 3), time)

    cache, times = FrameCache(frames), [1.0, 2.0, 3.0]
    one, other = cache(times, (1, 1)), cache(times, (1, 1))
    found = [next(one), next(other), next(other), next(one), next(one), next(other)]
    assert [each[0, 0, 0] for each in found] == [1, 1, 2, 2, 3, 3]
    assert asked == times
