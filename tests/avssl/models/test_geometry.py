"""Input geometry: stored with encoders, and the default of every downstream option of windows and crops."""

import json
import math
from dataclasses import dataclass

import pytest

from avssl.config import DataConfig, FeatureConfig, ModelConfig
from avssl.data.clip_options import CropOptions
from avssl.models.encoders import Encoders
from avssl.models.geometry import InputGeometry, resized, resolve_geometry
from avssl.task import Task

GEOMETRY = InputGeometry(seconds=0.5, frames=3, frame_rate=12.0, size=64, min_fov=40.0, max_fov=80.0)


@dataclass(frozen=True)
class Options:
    window: float | None = None
    frames: int | None = None
    hop: float = 2.0


class Nothing(Task):
    def views(self, clip, rng):
        return {}

    def forward(self, batch):
        return {}


def encoders(geometry=None):
    return Encoders(ModelConfig(), FeatureConfig(), geometry)


def test_geometry_is_stored_with_the_encoders_and_in_their_card(tmp_path):
    encoders(GEOMETRY).save(tmp_path)
    assert Encoders.from_pretrained(tmp_path).geometry == GEOMETRY
    card = (tmp_path / "README.md").read_text()
    assert "0.5 s of audio, 3 frames at 12 Hz, crops of 64 x 64 pixels, horizontal field of view 40 to 80" in card


def test_encoders_saved_without_geometry_still_load(tmp_path):
    encoders().save(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    del config["geometry"]
    path.write_text(json.dumps(config))
    assert Encoders.from_pretrained(tmp_path).geometry is None
    assert "Windows of the training" not in (tmp_path / "README.md").read_text()


def test_a_geometry_without_frames_is_an_error_with_the_file(tmp_path):
    encoders(GEOMETRY).save(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"frames": 3', '"frames": 0'))
    with pytest.raises(ValueError, match="expected positive seconds, frames"):
        Encoders.from_pretrained(tmp_path)


def test_options_that_are_set_override_the_geometry():
    names = {"window": "seconds", "frames": "frames"}
    assert resolve_geometry(Options(), GEOMETRY, names) == Options(0.5, 3)
    assert resolve_geometry(Options(window=1.5), GEOMETRY, names) == Options(1.5, 3)
    assert resolve_geometry(Options(1.5, 2), None, names) == Options(1.5, 2)


def test_unset_options_are_a_one_line_error():
    with pytest.raises(
        ValueError, match=r"\(frames\), got encoders .* without it; set frames=\.\.\., or pre"
    ) as caught:
        resolve_geometry(Options(window=1.0), None, {"window": "seconds", "frames": "frames"})
    assert "\n" not in str(caught.value)


def test_the_field_of_view_is_that_of_the_mean_tangent():
    assert math.tan(GEOMETRY.field_of_view / 2) == pytest.approx(
        (math.tan(math.radians(20)) + math.tan(math.radians(40))) / 2
    )
    assert InputGeometry(1.0, 8, 16.0, 112).field_of_view is None


def test_frames_are_scaled_before_the_crop_as_in_avsa():
    assert resized(112) == 128


@pytest.mark.parametrize(
    ("options", "crops"),
    [(CropOptions(size=48, min_fov=30, max_fov=60), (48, 30, 60)), (Options(), (None, None, None))],
)
def test_a_task_gives_the_geometry_of_its_data_and_crops(options, crops):
    task = Nothing(encoders(), options)
    found = task.geometry(DataConfig(seconds=0.75, frames=4, frame_rate=8.0))
    assert found == InputGeometry(0.75, 4, 8.0, *crops)
