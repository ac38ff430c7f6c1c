"""Backgrounds removed by a segmenter: in files, in evaluation, by the architecture of torchvision; errors."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize import foreground
from avssl_downstream.spatialize.apply import apply
from avssl_downstream.spatialize.apply_live import apply_live
from avssl_downstream.spatialize.evaluation_clips import target_audio
from avssl_downstream.spatialize.evaluation_rows import EvaluationRows
from avssl_downstream.spatialize.foreground import BATCH, Foreground, load_foreground, segmented_size
from avssl_downstream.spatialize.generators.mono_to_3d import MonoTo3D
from avssl_downstream.spatialize.generators.mono_to_3d_options import MonoTo3DOptions
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch
from avssl_downstream.spatialize.options import SpatializeOptions
from safetensors.torch import save_file
from torchvision import models

from avssl.datasets.manifest import Manifest, Row
from avssl.detection.backends.segmenter import Instances, Segmenter, load_segmenter
from avssl.errors import InputError
from avssl.media import read_all_audio, write_audio
from avssl.models.runtime import single_process

RATE = 16000
OPTIONS = SpatializeOptions(segmenter="stub")


class Corners(Segmenter):
    """Two objects in each frame: its left quarter above and below the middle. Counts batches and sizes."""

    sha256 = ""

    def __init__(self):
        self.shapes = []

    def segment(self, frames):
        self.shapes.append(frames.shape)
        height, width = frames.shape[1:3]
        masks = np.zeros((2, height, width), bool)
        masks[0, : height // 2, : width // 4] = masks[1, height // 2 :, : width // 4] = True
        return [Instances(np.zeros((2, 4), np.float32), np.ones(2, np.float32), ["dog", "cat"], masks) for _ in frames]


class Nothing(Segmenter):
    """Finds nothing."""

    sha256 = ""

    def segment(self, frames):
        size = frames.shape[1:3]
        return [Instances(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), [], np.zeros((0, *size), bool))
                for _ in frames]  # fmt: skip


@pytest.fixture
def stub(monkeypatch):
    found = Corners()
    monkeypatch.setattr(foreground, "load_segmenter", {"stub": found}.__getitem__)
    return found


def white(times, size):
    for time in times:
        yield np.full((*size, 3), 255 - int(time), np.uint8)


def test_objects_stay_as_they_are_and_the_rest_is_black():
    segmenter, times = Corners(), [float(each) for each in range(BATCH + 3)]
    frames = list(Foreground(segmenter).reader(white, (720, 1280))(times, (36, 64)))
    assert segmenter.shapes == [(BATCH, 360, 640, 3), (3, 360, 640, 3)]
    for time, frame in zip(times, frames, strict=True):
        expected = np.zeros((36, 64, 3), np.uint8)
        expected[:, :16] = 255 - int(time)
        np.testing.assert_array_equal(frame, expected)
    assert not np.stack(list(Foreground(Nothing()).reader(white, (720, 1280))([0.0], (36, 64)))).any()


def test_frames_are_segmented_at_the_size_of_the_video_within_bounds():
    assert segmented_size((1080, 1920), (36, 64)) == (360, 640)
    assert segmented_size((90, 160), (36, 64)) == (90, 160)
    assert segmented_size((90, 160), (300, 300)) == (300, 300)


def test_what_is_no_object_is_not_seen_in_a_file(tmp_path, film, pan, tone, stub):
    source = film(audio=tone(rate=48000), rate=48000)
    apply(source, tmp_path / "out.wav", pan, OPTIONS, single_process("32-true"))
    audio, rate = read_all_audio(tmp_path / "out.wav")
    left, right = audio[:, : round(0.8 * rate)].square().sum(1)
    assert left > 10 * right  # bright on the left at first, where the objects are
    left, right = audio[:, round(1.3 * rate) :].square().sum(1)
    assert left == pytest.approx(float(right), rel=1e-3)  # then on the right, which is background
    assert {shape[1:3] for shape in stub.shapes} == {(90, 160)}


def test_what_is_no_object_is_not_seen_in_evaluation(tmp_path, film, pan, tone, stub):
    film("in.mp4", at=0.0)  # bright on the right
    write_audio(tmp_path / "in.wav", torch.cat([tone(), 0.5 * tone()]), RATE)
    nan = float("nan")
    row = Row("a", "test", "silent-in.mp4", "in.wav", 0.0, 3.0, 20.0, 160, 90, RATE, "binaural", "", nan, nan, nan, "")
    manifest, made = Manifest((row,), tmp_path), {}
    for name in ("", "stub"):
        rows = EvaluationRows(pan, None, SpatializeOptions(segmenter=name), single_process("32-true"))
        target = target_audio(row, manifest, pan)
        made[name] = rows.outputs(row, manifest, target)["test"].square().sum(1)
    assert made[""][1] > 10 * made[""][0]
    assert float(made["stub"][0]) == pytest.approx(float(made["stub"][1]), rel=1e-3)


def mono_to_3d(source: str = "scratch") -> MonoTo3D:
    options = MonoTo3DOptions(seconds=1.0, hop=0.5, frames=2, rows=32, columns=64, width=2, visual_width=4, depth=4)
    return MonoTo3D(options, partial(VisualBranch, source))


def test_segmenters_that_cannot_be_honoured_are_errors_of_one_line(around, stub):
    with pytest.raises(InputError, match=r"\Aexpected a generator of ordinary frames.+360-degree frames"):
        load_foreground("stub", around)
    with pytest.raises(InputError, match="got one of no frames"):
        load_foreground("stub", mono_to_3d("none"))
    assert load_foreground("", around) is None


def test_a_live_stream_takes_no_segmenter(pan, tmp_path, stub):
    with pytest.raises(
        InputError, match="expected neither segmenter nor method=prior for a stream, got segmenter=stub"
    ):
        apply_live(Path("-"), tmp_path / "out.wav", pan, OPTIONS, single_process("32-true"))
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("yolo11n-seg.pt", "no such segmenter here, and none is downloaded"),
        ("torchvision/maskrcnn_resnet50_fpn:gone.safetensors", "gone.safetensors: no such weights"),
    ],
)
def test_without_weights_nothing_is_written(tmp_path, film, tone, pan, name, message):
    source, target = film(audio=tone(), rate=RATE), tmp_path / "out.wav"
    with pytest.raises(InputError, match=message) as caught:
        apply(source, target, pan, SpatializeOptions(segmenter=name), single_process("32-true"))
    assert "\n" not in str(caught.value)
    assert not target.exists()


@pytest.mark.heavy
def test_mask_rcnn_of_torchvision_runs_from_a_local_safetensors_file(tmp_path):
    torch.manual_seed(0)
    network = models.detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    # Random weights find nothing surely: here all proposals are persons, and their masks are filled.
    torch.nn.init.constant_(network.roi_heads.box_predictor.cls_score.bias[1:2], 20.0)
    torch.nn.init.constant_(network.roi_heads.mask_predictor.mask_fcn_logits.bias, 20.0)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    name = f"torchvision/maskrcnn_resnet50_fpn:{tmp_path / 'weights.safetensors'}"
    load_segmenter(name).vision.network.transform.min_size = (64,)
    remover = load_foreground(name, mono_to_3d())
    assert remover is not None
    frame = np.random.default_rng(0).integers(1, 255, (64, 96, 3), np.uint8)
    (cut,) = remover.cut(frame[None])
    (found,) = remover.segmenter.segment(frame[None])
    assert set(found.labels) == {"person"}
    seen = found.masks.any(0)
    assert seen.mean() > 0
    np.testing.assert_array_equal(cut[seen], frame[seen])
    assert not cut[~seen].any()
    load_segmenter.cache_clear()
