"""Objects of `avssl detect` in 360-degree clips as suggestions: followed over time, boxes where frames show them."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from avssl.annotation.object_sources import Detection, follow, frame_box, object_sources
from avssl.annotation.source_export import suggestions
from avssl.datasets.manifest import Row, write_manifest
from avssl.detection.object_index import SCHEMA, DetectedTimes, DetectionSettings, write_objects
from avssl.errors import InputError
from avssl.media import write_video
from avssl.spatial.boxes import from_frame

STEP = 0.5


def seen(time, azimuth, label="car", score=0.9, elevation=0.0, width=30.0, height=20.0):
    return {"key": "clip", "time": time, "azimuth": azimuth, "elevation": elevation, "width": width, "height": height,
            "label": label, "score": score, "model": "m"}  # fmt: skip


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (100, 40), (-120, -65)])
def test_frame_boxes_are_the_inverse_of_boxes_on_the_sphere(azimuth, elevation):
    box = frame_box(Detection(0.0, azimuth, elevation, 24.0, 16.0))
    (back,) = np.degrees(from_frame([box]))
    assert back == pytest.approx([azimuth, elevation, 24, 16], abs=1.6)


def test_a_box_over_the_seam_ends_at_the_frame():
    left, _, right, _ = frame_box(Detection(0.0, 175.0, 0.0, 36.0, 20.0))
    assert left == 0.0
    assert right == pytest.approx((180 - 175 + 18) / 360, abs=0.002)


def test_objects_are_followed_by_label_and_nearness_and_once_seen_ones_are_left_out():
    objects = [
        seen(0.25, 170), seen(0.75, 178), seen(1.25, -174),  # over the seam
        seen(0.25, 0), seen(1.25, 5),  # missed once
        seen(0.25, 90, "dog"), seen(2.75, 90, "dog"),  # gone too long
        seen(0.25, 100), seen(0.75, 120),  # too fast
    ]  # fmt: skip
    found = [(label, [each.azimuth for each in track]) for label, track in follow(objects, STEP)]
    assert sorted(found) == [("car", [0, 5]), ("car", [170, 178, -174])]


@pytest.fixture
def detected(tmp_path):
    """Folder of a manifest of one film, 3 s from its second second on, with objects."""
    data = tmp_path / "films"
    data.mkdir()
    write_video(data / "film.mp4", [np.zeros((32, 64, 3), np.uint8)] * 40, 8)
    nan = math.nan
    row = Row("clip", "", "film.mp4", "film.mp4", 1.0, 3.0, 8.0, 64, 32, 24000, "ambix", "", nan, nan, nan, "")
    write_manifest(data, [row])
    settings = DetectionSettings("m sha256:0", "equirect", 2.0, 0.25, "proxy")
    objects = [seen(0.25, 0), seen(0.75, 4), seen(0.25, 90, "dog")]
    path = data / "objects-m-00000000.parquet"
    write_objects(path, pa.Table.from_pylist(objects, SCHEMA), settings, {"clip": DetectedTimes(6, STEP, 0.5)})
    return path, row


def test_suggestions_have_times_of_the_film_and_come_once(detected):
    path, _ = detected
    (change,), outside = suggestions(path.parent, path, {}, {"film.mp4": 5.0})
    (segment,) = change.segments.values()
    assert (segment.label, segment.start, segment.end, segment.suggested, outside) == ("car", 1.0, 2.0, True, 0)
    assert [frame.time for frame in segment.boxes] == [1.25, 1.75]
    assert segment.boxes[0].box == pytest.approx((0.458, 0.444, 0.542, 0.556), abs=0.002)


def test_recordings_elsewhere_and_files_without_manifest_are_one_line(detected, tmp_path):
    path, row = detected
    write_manifest(path.parent, [replace(row, source=str(tmp_path / "other" / "recording.mp4"))])
    (found,) = object_sources(path, {"recording.mp4": tmp_path / "other" / "recording.mp4"})
    assert found.video == tmp_path / "other" / "recording.mp4"
    with pytest.raises(InputError, match="expected sources of films in"):
        suggestions(tmp_path / "other", path, {}, {"x.mp4": 5.0})
    (path.parent / "manifest.parquet").unlink()
    with pytest.raises(InputError, match=r"expected manifest.parquet of its clips beside it, got none"):
        object_sources(path, {})
