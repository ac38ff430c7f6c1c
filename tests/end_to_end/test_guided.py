"""Guided crops on a rendered world, held against its truth: what is aimed at is in the picture, and is heard there."""

import math
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from avssl_tasks.avc import Avc, AvcOptions

from avssl.config import DataConfig, FeatureConfig, ModelConfig, RunConfig, fill
from avssl.data.clip_options import CropOptions
from avssl.data.crops import draw_crops
from avssl.data.loader import Batches, read_clip
from avssl.detection.object_index import read_objects
from avssl.models.encoder_factory import build_encoders
from avssl.recipe_files import read_recipe
from avssl.spatial.ambisonics import angle_between
from avssl.spatial.viewport import project
from avssl.train import data_source
from avssl.train.metric_logger import MetricLogger
from avssl.train.pretrain import pretrain

SIZE = 64
OPTIONS = CropOptions(crop_guide="objects", min_separation=36, size=SIZE)
DATA = DataConfig(seconds=0.5, frames=8, frame_rate=16.0, batch=4, workers=0, detector="truth")


@pytest.fixture(scope="module")
def rendered(short_scenes, tmp_path_factory):
    """Short scenes with their objects looked up, as a manifest; and the rows of their truth."""
    path = shutil.copytree(short_scenes.parent, tmp_path_factory.mktemp("guided") / "world") / short_scenes.name
    data = DataConfig(manifest=str(path), detector="truth")
    _, manifest = data_source.clips(data, 24000, progress=False)
    return manifest, pq.read_table(path.parent / "truth.parquet").to_pylist()


def truth_at(truth, key, time):
    """Azimuth and elevation `(objects, 2)` in the picture that is shown at a time."""
    rows = [row for row in truth if row["key"] == key and row["frame"] == int(time * 16 + 1e-6)]
    return torch.tensor([[row["azimuth"], row["elevation"]] for row in rows], dtype=torch.float64).deg2rad()


def in_crop(crops, place, direction):
    """Where a direction is in the pictures of a crop, before it is mirrored."""
    field, roll, aspect = (float(each[place]) for each in (crops.fields, crops.rolls(), crops.aspects))
    return project(*direction, tuple(crops.directions()[place].tolist()), field, SIZE, roll, aspect)


@pytest.mark.parametrize("scene_rotation", ["none", "any"])
def test_every_guided_crop_holds_the_centre_of_its_object_in_all_of_its_frames(rendered, scene_rotation):
    manifest, truth = rendered
    objects = read_objects(manifest.root, "truth")
    aimed = 0
    for number, row in enumerate(manifest):
        rng = np.random.default_rng(number)
        clip = read_clip(row, manifest.root, DATA, 24000, rng, objects)
        crops = draw_crops(OPTIONS, rng, scene_rotation, 0.5, clip.objects)
        times = clip.labels["frame_start"] + np.arange(8) / 16
        there = truth_at(truth, row.key, times.mean())
        for place, centre in enumerate(crops.directions()):
            apart = angle_between(there[:, 0], there[:, 1], *centre.double()).rad2deg()
            if apart.min() < 1:  # else a random crop
                aimed += 1
                frames = [in_crop(crops, place, truth_at(truth, row.key, time)[apart.argmin()]) for time in times]
                assert all(0 < float(each.min()) <= float(each.max()) < SIZE for each in frames)
        front = crops.cameras[:, :, 0]
        assert (front @ front.T - 9 * torch.eye(4)).max() <= math.cos(math.radians(36)) + 1e-6
    assert aimed >= 2.5 * len(manifest)


def test_guided_batches_are_equal_for_any_number_of_loader_processes(rendered):
    manifest, _ = rendered
    task = Avc(build_encoders(ModelConfig(), FeatureConfig()), AvcOptions(crops=4, size=32, crop_guide="objects"))
    found = []
    for workers in (0, 2):
        data = fill(DataConfig, {"detector": "truth", "batch": 6, "frames": 2, "seconds": 0.5, "workers": workers})
        found.append(list(Batches(manifest, task.views, data, 24000, 5).between(0, 3)))
    for one, two in zip(*found, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_guided_run_ends_with_its_numbers(rendered, tmp_path, monkeypatch):
    monkeypatch.setattr(MetricLogger, "show", lambda *_: None)  # its pictures take longer than all the rest
    manifest, _ = rendered
    config = fill(
        RunConfig,
        read_recipe("avsa/small"),
        {
            "data": {"manifest": str(manifest.root), "batch": 4, "workers": 0, "seconds": 0.5, "detector": "truth"},
            "options": {"crops": 2, "size": 32, "crop_guide": "objects"},
            "train": {"steps": 2},
            "probe": {
                "epochs": 1,
                "bootstrap": 50,
                "workers": 0,
                "crop_guide": "objects",
                "train_draws": 2,
                "test_draws": 2,
            },
        },
    )
    metrics = pretrain(config, tmp_path / "run", progress=False)
    assert {"avc_bin", "avsa_bin", "test_avsa_acc"} <= metrics.keys()
    assert all(np.isfinite(value) for value in metrics.values())
