"""Objects on their way from the parquet file into clips and crops."""

import dataclasses
import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from avssl_tasks.avc import Avc, AvcOptions

from avssl.config import DataConfig, FeatureConfig, ModelConfig
from avssl.data.loader import Batches, read_clip
from avssl.datasets.manifest import Row, read_manifest, write_manifest
from avssl.detection.object_index import (
    SCHEMA,
    DetectedTimes,
    DetectionSettings,
    Objects,
    objects_path,
    read_objects,
    write_objects,
)
from avssl.media import write_audio, write_video
from avssl.models.encoder_factory import build_encoders
from avssl.spatial.ambisonics import angles
from avssl.train import data_source

RATE = 8000
DATA = DataConfig(seconds=0.5, frames=4, frame_rate=16.0, batch=4, workers=0, detector="made.pt")
STEP = 0.25


def row(number):
    return Row(
        key=f"clip-{number}", split="train", video=f"{number}.mp4", audio=f"{number}.wav", start=0.0, seconds=2.0,
        frame_rate=16.0, width=64, height=32, sample_rate=RATE, layout="ambix", silent_channels="", azimuth=0.0,
        elevation=0.0, diffuseness=0.0, source="",
    )  # fmt: skip


def seen(number, instant):
    """Two objects of a clip at a detection time: one moves 40 degrees a second, one stays, is high and weaker."""
    common = {"key": f"clip-{number}", "time": instant * STEP, "width": 10, "height": 10, "label": "", "model": "made"}
    moving = {"azimuth": 40 * instant * STEP, "elevation": 5.0, "score": 0.9, **common}
    return [moving, {"azimuth": -90.0, "elevation": 60.0, "score": 0.5, **common}]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Six clips; nothing was found in the last one, and the first instant of the others."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for number in range(6):
        write_video(folder / f"{number}.mp4", list(rng.integers(0, 256, (32, 32, 64, 3), dtype=np.uint8)), 16.0)
        write_audio(folder / f"{number}.wav", torch.from_numpy(rng.standard_normal((4, 2 * RATE)) / 9).float(), RATE)
    write_manifest(folder / "manifest.parquet", [row(number) for number in range(6)])
    rows = [each for number in range(5) for instant in range(1, 8) for each in seen(number, instant)]
    detected_times = {f"clip-{number}": DetectedTimes(8, STEP, 0.0) for number in range(6)}
    about = DetectionSettings("made", "viewports", 1 / STEP, 0.25, "proxy")
    write_objects(objects_path(folder, DATA.detector), pa.Table.from_pylist(rows, SCHEMA), about, detected_times)
    return read_manifest(folder)


def test_a_clip_brings_the_objects_of_the_middle_of_its_frames(manifest):
    objects = read_objects(manifest.root, DATA.detector)
    rng = np.random.default_rng(0)
    for _ in range(20):
        clip = read_clip(manifest.rows[0], manifest.root, DATA, RATE, rng, objects)
        middle = clip.labels["frame_start"] + 1.5 / 16
        instant = round(middle / STEP)
        found = clip.objects.double()
        assert (clip.objects.dtype, found.shape) == (torch.float32, (2 if instant else 0, 3))
        if instant:
            expected = [[math.radians(40 * instant * STEP), math.radians(5), 0.9], [-math.pi / 2, math.pi / 3, 0.5]]
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_clip_without_detections_or_detector_has_no_objects(manifest):
    objects = read_objects(manifest.root, DATA.detector)
    for clip in (
        read_clip(manifest.rows[5], manifest.root, DATA, RATE, None, objects),
        read_clip(manifest.rows[0], manifest.root, DATA, RATE),
    ):
        assert (clip.objects.shape, clip.objects.dtype) == ((0, 3), torch.float32)


def test_clips_without_objects_are_counted_before_training(manifest, caplog):
    assert read_objects(manifest.root, DATA.detector).count_clips(row.key for row in manifest) == 5
    with caplog.at_level("INFO"):
        data_source.clips(dataclasses.replace(DATA, manifest=str(manifest.root)), RATE, progress=False)
    assert "objects of made.pt in 5 of 6 clips; all crops of the others are random" in caplog.text


def views_of(crop_guide):
    task = Avc(
        build_encoders(ModelConfig(), FeatureConfig()),
        AvcOptions(crops=3, size=32, crop_guide=crop_guide, min_separation=36, scene_rotation="none"),
    )
    return task.views


@pytest.mark.heavy
def test_guided_batches_are_the_same_whatever_the_number_of_loader_processes(manifest):
    found = []
    for workers in (0, 1, 2):
        data = dataclasses.replace(DATA, workers=workers)
        found.append(list(Batches(manifest, views_of("objects"), data, RATE, 3).between(0, 4)))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert one.keys() == two.keys()
            assert all(torch.equal(one[name], two[name]) for name in one)


def test_crops_of_a_batch_look_at_the_objects_and_its_audio_is_turned_to_them(manifest):
    def views(clip, rng):
        return {**views_of("objects")(clip, rng), "middle": torch.tensor(clip.labels["frame_start"] + 1.5 / 16)}

    compared = 0
    for batch in Batches(manifest, views, DATA, RATE, 3).between(0, 6):
        front = batch["rotation"][:, :, 0].double()  # what is brought to the front: the first row of the matrix
        azimuth, elevation = (each.rad2deg() for each in angles(front))
        for clip, middle in enumerate(batch["middle"].tolist()):
            instant = round(middle / STEP)
            if instant and bool((elevation[clip] > 59).any()):
                compared += 1
                assert azimuth[clip, :2].tolist() == pytest.approx([40 * instant * STEP, -90], abs=1e-3)
                assert elevation[clip, :2].tolist() == pytest.approx([5, 60], abs=1e-3)
    assert compared >= 10


def test_missing_objects_file_is_a_one_line_error(manifest, tmp_path):
    data = dataclasses.replace(DATA, detector="other.pt")
    with pytest.raises(ValueError, match=r"objects-other\.parquet.*avssl detect") as caught:
        Batches(manifest, views_of("objects"), data, RATE, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_clip_without_detection_times_is_named(manifest, workers):
    stranger = dataclasses.replace(manifest, rows=(dataclasses.replace(manifest.rows[0], key="stranger"),))
    batches = Batches(stranger, views_of("objects"), dataclasses.replace(DATA, workers=workers), RATE, 0)
    with pytest.raises(ValueError, match="stranger.*avssl detect") as caught:
        list(batches.between(0, 1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["azimuth", "elevation", "score"])
def test_objects_that_are_no_numbers_are_refused_with_their_clip(manifest, column):
    rows = [{**each, column: math.nan} for each in seen(0, 4)]
    objects = Objects(pa.Table.from_pylist(rows, SCHEMA), {"clip-0": DetectedTimes(8, STEP, 0.0)})
    with pytest.raises(ValueError, match="clip-0.*NaN or Inf") as caught:
        read_clip(manifest.rows[0], manifest.root, DATA, RATE, None, objects)
    assert "\n" not in str(caught.value)
