"""Evaluation on held-out clips: frames decoded once for all rows; oracles on scenes with one source, in closed form."""

import csv
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize import evaluation_clips
from avssl_downstream.spatialize.clip_truth import DatasetTruth
from avssl_downstream.spatialize.evaluate_generator import Evaluation
from avssl_downstream.spatialize.evaluation_rows import FRAME_TRANSFORMS, EvaluationRows
from avssl_downstream.spatialize.evaluation_table import by_clip_csv
from avssl_downstream.spatialize.frame_features import FrameCache, FrameFeatures, RecordedFrames
from avssl_downstream.spatialize.generators.foa360 import Foa360
from avssl_downstream.spatialize.generators.foa360_options import Foa360Options
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.streaming import StreamingSpatializer, generate_stream

from avssl.datasets.manifest import Manifest, Row, read_manifest
from avssl.errors import InputError
from avssl.media import write_audio
from avssl.models.runtime import single_process
from avssl.synth.mono3d.mono3d_dataset import Mono3d, Mono3dOptions

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


@pytest.fixture(scope="module")
def one_source(tmp_path_factory):
    """Scenes of one source each, without a room, at slow walks."""
    folder = tmp_path_factory.mktemp("P1")
    options = Mono3dOptions(
        clips=3, seconds=1.0, frame_rate=8, sample_rate=RATE, width=64, height=36, type="P1", step=0.02, seed=5
    )
    Mono3d(options).render(folder, workers=1, progress=False)
    return read_manifest(folder)


@pytest.fixture(scope="module")
def tracks():
    """An untrained generator of tracks."""
    options = Foa360Options(
        network="pointing", variant="no_flow", sample_rate=RATE, n_fft=512, hop=256, stft_frames=32, output_seconds=0.4,
        bands=32, tracks=3, units=16, rows=32, columns=64,
    )  # fmt: skip
    torch.manual_seed(0)
    return Foa360(options, partial(VisualBranch, "scratch")).eval()


def test_oracles_of_scenes_with_one_source(one_source, tracks):
    options = SpatializeOptions()
    evaluation = Evaluation(EvaluationRows(tracks, None, options, single_process("32-true")), options)
    seen = []
    found = evaluation.run(one_source, lambda row, outputs, target: seen.append((outputs, target)))
    assert found["silence_explained"] == 0.0
    # One source needs no separation: at its place it is all there, whatever the masks, which sum to 1.
    assert found["places_explained"] > 0.99
    assert found["best_real_explained"] > 0.99
    assert found["best_complex_explained"] > 0.999
    # All of it is one track's or the other's: true masks change nothing about where the generator puts it.
    assert found["masks_explained"] == pytest.approx(found["test_explained"], abs=0.03)
    assert found["masks_direction_error"] == pytest.approx(found["test_direction_error"], abs=5)
    assert found["chance_direction_error"] == 90.0
    assert set(evaluation.by_clip["test"]) == {row.key for row in one_source}
    ahead = [evaluation.by_clip["ahead"][row.key]["stft"] for row in one_source]
    assert found["ahead_stft"] == pytest.approx(np.mean(ahead))
    lines = list(csv.DictReader(by_clip_csv(evaluation.by_clip).splitlines()))
    assert {(line["row"], float(line["explained"])) for line in lines if line["row"] == "silence"} == {("silence", 0.0)}
    assert evaluation.rows.absent.keys() == {"prior", "calibrated", "audio_only", "heat_map"}
    # What is behind the viewer is not seen: nothing but W is left of it.
    truth, energy = DatasetTruth(one_source.root, tracks), [0.0, 0.0]
    for row, (outputs, target) in zip(one_source, seen, strict=True):
        clip = truth.of(row, target)
        share = clip.seen(np.arange(100) / 100).float().mean()
        energy[0] += float(target[1:].square().sum() * share)
        energy[1] += float(target[1:].square().sum())
        torch.testing.assert_close(outputs["seen"], outputs["observer"])
        torch.testing.assert_close(outputs["seen"][0], target[0])
    assert 0 < energy[0] < energy[1]  # some are seen, some are not
    assert found["seen_explained"] == pytest.approx(energy[0] / energy[1], abs=0.06)


def test_masks_of_another_clip_are_those_of_its_audio(one_source, tracks):
    evaluation = EvaluationRows(tracks, None, SpatializeOptions(), single_process("32-true"))
    first, second = (evaluation_clips.target_audio(row, one_source, tracks) for row in one_source.rows[:2])
    row = one_source.rows[0]
    own = evaluation.outputs(row, one_source, first, 0.3 * first)  # the same masks, at any level
    scale = float(own["test"][1:].abs().max())  # small: without training, all tracks point nearly nowhere
    torch.testing.assert_close(own["deaf"], own["test"], atol=1e-3 * scale, rtol=1e-4)
    other = evaluation.outputs(row, one_source, first, second[:, :5000])  # a shorter clip is repeated
    torch.testing.assert_close(other["deaf"][0], first[0], atol=1e-6, rtol=0)
    assert float((other["deaf"] - own["test"]).abs().max()) > 0.01 * scale


def test_other_audio_than_that_of_the_scene_is_refused(one_source, tracks):
    truth, row = DatasetTruth(one_source.root, tracks), one_source.rows[0]
    target = evaluation_clips.target_audio(row, one_source, tracks)
    with pytest.raises(InputError, match="expected the audio of its scene, got other audio"):
        truth.of(row, target.flip(-1))
    with pytest.raises(InputError, match="expected ground truth of this clip, got none"):
        truth.of(replace(row, key="00099"), target)
