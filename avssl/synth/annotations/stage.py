"""Ground truth of a scene on the stage, with positions in the image of the camera."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.synth.annotations.sphere import truth
from avssl.synth.projection.pinhole import Camera
from avssl.synth.scene_format import Format
from avssl.synth.stage.stage_scene import StageScene
from avssl.synth.trajectories import unit_vector

PLACES = {"left": "x_min", "top": "y_min", "right": "x_max", "bottom": "y_max"}
"""Names of the box edges: in a panorama (angles), and here."""
MIRRORED = {"x": "x", "x_min": "x_max", "x_max": "x_min"}
"""Edges exchanged by mirroring."""


def stage_truth(scene: StageScene, form: Format, camera: Camera) -> pa.Table:
    """One row a frame and object, frames first.

    Columns as in `avssl.synth.annotations.sphere.SCHEMA`, but for the box: `x_min`, `y_min`, `x_max`, `y_max` surround
    the part of the object in the image; `x`, `y` are its centre. All are in 0..1, to the right and down.
    """
    table = truth(scene, form)
    table = table.rename_columns([PLACES.get(name, name) for name in table.column_names])
    angles = (np.radians(table[name].to_numpy().astype(np.float64)) for name in ("azimuth", "elevation"))
    for name, place in zip(("x", "y"), camera.project(unit_vector(*angles)), strict=True):
        table = table.append_column(name, pa.array(place, pa.float32()))
    return _mirrored(table) if scene.mirrored else table


def _mirrored(table: pa.Table) -> pa.Table:
    exchanged: dict[str, NDArray[np.float32]] = {name: 1 - table[other].to_numpy() for name, other in MIRRORED.items()}
    for name, values in ({"azimuth": -table["azimuth"].to_numpy()} | exchanged).items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.float32()))
    return table
