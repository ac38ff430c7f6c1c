"""`avssl inspect`: where a detector sees something, beside the direction of the sound."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.cli.inspect_objects import Detecting, stored_objects
from avssl.datasets.manifest import Row, write_manifest
from avssl.detection.backends.detector import Detections, Detector
from avssl.detection.object_index import SCHEMA, DetectedTimes, DetectionSettings, write_objects
from avssl.inspection.seen_objects import ObjectAt, nearest_angle, objects_text
from avssl.media.video_writer import write_audio, write_video
from avssl.spatial.ambisonics import encode

RATE, HEIGHT = 24000, 96


def test_angles_are_to_the_nearest_object_of_the_time_beside_chance():
    objects = [ObjectAt(0.0, 10.0, 0.0, "car", 0.9), ObjectAt(0.0, 100.0, 0.0, "dog", 0.5)]
    near, chance = nearest_angle([(0.0, 0.0), (math.nan, math.nan), (50.0, 0.0)], [0.0, 1.0, 2.0], objects)
    assert near == pytest.approx(10)
    # Halfway between 10 and 100 degrees it is 45 away, behind up to 135: uniform over the circle.
    assert chance == pytest.approx(45, abs=10)
    assert math.isnan(nearest_angle([(0.0, 0.0)], [5.0], objects)[0])
    said = "2 at 1 times: car 1, dog 1; the nearest 10 degrees from the sound on median (chance 45)"
    assert objects_text(objects, 10.0, 45.0) == said
    assert objects_text([], math.nan, math.nan) == "none found"


class Bright(Detector):
    """Finds the bright part of a frame."""

    name, sha256, side, views = "bright", "0" * 64, 320, "equirect"

    def find(self, frames, min_score):
        return [self._found(each.max(-1) > 128) for each in frames]

    def _found(self, bright):
        rows, columns = np.where(bright)
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Detections(np.array([edges], np.float32), np.array([0.9], np.float32), ["lamp"])


@pytest.fixture
def film(tmp_path):
    """An equirectangular film with a lamp at 60 degrees to the left, and sound from there, beside its manifest."""
    frame = np.full((HEIGHT, 2 * HEIGHT, 3), 20, np.uint8)
    column = round((180 - 60) / 360 * 2 * HEIGHT)
    frame[HEIGHT // 2 - 4 : HEIGHT // 2 + 4, column - 5 : column + 5] = 250
    rng = np.random.default_rng(0)
    frames = [np.clip(frame + rng.integers(0, 9, frame.shape), 0, 255).astype(np.uint8) for _ in range(24)]
    write_video(tmp_path / "film.mp4", frames, 8.0)
    noise = 0.1 * torch.randn(3 * RATE, generator=torch.Generator().manual_seed(0))
    write_audio(tmp_path / "film.wav", encode(noise, math.radians(60), 0.0), RATE)
    nan = math.nan
    row = Row("film", "", "film.mp4", "film.wav", 0.0, 3.0, 8.0, 192, 96, RATE, "ambix", "", nan, nan, nan, "")
    write_manifest(tmp_path, [row])
    return tmp_path / "film.mp4"


def test_a_detector_finds_the_lamp_where_it_is(film):
    found = Detecting(Bright())(film, [0.5, 1.0, 1.5, 2.0, 2.5])
    assert [each.seconds for each in found] == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert {each.label for each in found} == {"lamp"}
    assert [each.azimuth for each in found] == pytest.approx([60] * 5, abs=3)


@pytest.mark.heavy
def test_objects_beside_the_film_are_compared_with_its_sound(film, tmp_path):
    objects = [
        {"key": "film", "time": time, "azimuth": azimuth, "elevation": 0.0, "width": 20.0, "height": 15.0,
         "label": "lamp", "score": 0.9, "model": "m"}
        for time in (0.25, 0.75, 1.25, 1.75, 2.25, 2.75)
        for azimuth in (60.0, -120.0)
    ]  # fmt: skip
    settings = DetectionSettings("m sha256:0", "equirect", 2.0, 0.25, "proxy")
    path = tmp_path / "objects-m-00000000.parquet"
    write_objects(path, pa.Table.from_pylist(objects, SCHEMA), settings, {"film": DetectedTimes(6, 0.5, 0.5)})
    assert [each.azimuth for each in stored_objects(film, [0.3])] == [60.0, -120.0]
    assert stored_objects(film, [9.0]) == []
    done = CliRunner().invoke(main, ["inspect", str(film), "--json", "-"])
    assert done.exit_code in (0, 1), done.output
    (facts,) = json.loads(done.stdout)["recordings"]
    assert facts["nearest_object"] < 2
    assert facts["nearest_by_chance"] == pytest.approx(45, abs=10)
    assert {each["label"] for each in facts["objects"]} == {"lamp"}


def test_a_detector_that_is_none_is_one_line(film):
    failed = CliRunner().invoke(main, ["inspect", str(film), "--detector", str(film.parent / "none.pt")])
    assert failed.exit_code == 2
    assert len(failed.stderr.strip().splitlines()) == 1
