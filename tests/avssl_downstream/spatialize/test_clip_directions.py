"""Directions of generated and true sound, stored with the energy explained of each clip."""

import math
from pathlib import Path

import pytest
import torch
from avssl_downstream.spatialize.clip_directions import ClipDirections
from avssl_downstream.spatialize.metrics import ENERGY, ERROR

from avssl.datasets.manifest import Manifest, Row
from avssl.spatial.ambisonics import encode

RATE = 16000


def row(key):
    nan = math.nan
    return Row(key, "test", f"{key}.mp4", f"{key}.wav", 0.0, 1.0, 8.0, 64, 32, RATE, "ambix", "", nan, nan, nan, "")


def wave(azimuth, elevation=0.0):
    noise = torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    return encode(noise, math.radians(azimuth), math.radians(elevation))


def test_plane_waves_have_their_directions_and_scores_are_energy_explained(tmp_path):
    directions = ClipDirections(RATE)
    clip, silent = row("a"), row("b")
    directions.add(clip, {"test": wave(-100, 5)}, wave(60, 20))
    directions.add(silent, {"test": torch.zeros(4, RATE)}, torch.zeros(4, RATE))
    scores = {"test": {"a": {ERROR: 1.0, ENERGY: 4.0}, "b": {ERROR: 0.0, ENERGY: 0.0}}}
    found, nothing = directions.evaluated(Manifest((clip, silent, row("not evaluated")), tmp_path), scores).clips
    angles = found.azimuth, found.elevation, found.predicted_azimuth, found.predicted_elevation
    assert angles == pytest.approx((60, 20, -100, 5), abs=0.1)
    assert found.score == 0.75
    assert math.isnan(nothing.score)
    assert math.isnan(nothing.azimuth)


def test_binaural_audio_has_no_direction():
    directions = ClipDirections(RATE)
    directions.add(row("a"), {"test": torch.ones(2, RATE)}, torch.ones(2, RATE))
    found = directions.evaluated(Manifest((row("a"),), Path()), {"test": {"a": {ERROR: 1.0, ENERGY: 2.0}}})
    assert math.isnan(found.clips[0].azimuth)
