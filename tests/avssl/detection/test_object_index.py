"""Object index: round trip, best first, at the nearest detection time."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avssl.detection.object_index import (
    SCHEMA,
    DetectedTimes,
    DetectionSettings,
    objects_path,
    read_objects,
    read_settings,
    slug,
    write_objects,
)

ABOUT = DetectionSettings("toy sha256:00", "viewports", 2.0, 0.25, "proxy")


def rows(*given):
    names = ("key", "time", "azimuth", "elevation", "width", "height", "label", "score")
    return pa.Table.from_pylist([dict(zip(names, each, strict=True), model=ABOUT.model) for each in given], SCHEMA)


@pytest.fixture
def folder(tmp_path):
    table = rows(
        ("b", 0.75, 170.0, 0.0, 10.0, 10.0, "dog", 0.5),
        ("a", 0.25, 90.0, -10.0, 20.0, 20.0, "cat", 0.4),
        ("a", 0.25, -90.0, 30.0, 5.0, 5.0, "cat", 0.9),
        ("a", 1.25, 45.0, 0.0, 5.0, 5.0, "small", 0.7),
        ("a", 1.25, 60.0, 0.0, 50.0, 5.0, "large", 0.7),
    )
    looked = {"a": DetectedTimes(4, 0.5, 0.5), "b": DetectedTimes(2, 0.5, 0.5), "empty": DetectedTimes(1, 0.2, 0.5)}
    write_objects(objects_path(tmp_path, "models/toy.pt"), table, ABOUT, looked)
    return tmp_path


def test_objects_come_back_in_radians_best_first(folder):
    directions, scores = read_objects(folder, "models/toy.pt").at("a", 0.25)
    assert directions.dtype == scores.dtype == np.float32
    assert directions == pytest.approx(np.radians([[-90, 30], [90, -10]]), abs=1e-6)
    assert scores == pytest.approx([0.9, 0.4])


@pytest.mark.parametrize(
    ("time", "found"), [(-3.0, 2), (0.4, 2), (0.6, 0), (0.9, 0), (1.1, 2), (1.4, 2), (1.6, 0), (99.0, 0)]
)
def test_nearest_detection_time_counts_even_without_objects(folder, time, found):
    directions, scores = read_objects(folder, "toy.pt").at("a", time)
    assert (directions.shape, scores.shape) == ((found, 2), (found,))


def test_of_equal_scores_the_largest_comes_first(folder):
    assert read_objects(folder, "toy").at("a", 1.25)[0][0, 0] == pytest.approx(math.radians(60))


def test_clip_without_objects_is_empty_and_unknown_clip_is_an_error(folder):
    found = read_objects(folder, "toy")
    assert len(found) == 5
    assert found.at("empty", 0.0)[0].shape == (0, 2)
    with pytest.raises(ValueError, match="'c': no objects were detected"):
        found.at("c", 0.0)


def test_the_file_tells_how_it_was_made(folder):
    about, looked = read_settings(objects_path(folder, "toy"))
    assert about == ABOUT
    assert looked["a"].times().tolist() == [0.25, 0.75, 1.25, 1.75]
    assert pq.read_table(objects_path(folder, "toy")).schema.names == SCHEMA.names


@pytest.mark.parametrize("content", [b"", b"PAR1 not", None])
def test_what_is_no_file_of_objects_is_refused_in_one_line(tmp_path, content):
    path = objects_path(tmp_path, "toy")
    if content is None:
        pq.write_table(rows(), path)
    else:
        path.write_bytes(content)
    for reading in (lambda: read_objects(tmp_path, "toy"), lambda: read_settings(path)):
        with pytest.raises(ValueError, match=r"objects-toy\.parquet: expected objects of avssl") as caught:
            reading()
        assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(
        ValueError, match=r"objects-toy\.parquet: expected objects, there is no such file.*avssl detect"
    ):
        read_objects(tmp_path, "toy")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("truth", "truth"),
        ("runs/Best One.pt", "best-one"),
        ("/a/yolo11n_int8_openvino_model/", "yolo11n-int8-openvino-model"),
        ("v1.2/detector-0.5", "detector-0-5"),
        ("net.onnx", "net"),
        ("torchvision/ssdlite320_mobilenet_v3_large:/x/w.pth", "torchvision-ssdlite320-mobilenet-v3-large"),
        ("...", "model"),
    ],
)
def test_slugs_name_models_in_file_names(model, name):
    assert slug(model) == name
