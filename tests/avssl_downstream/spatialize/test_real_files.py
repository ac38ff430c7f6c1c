"""Real videos in, spatial mp4 out, read back by ffprobe and by the ffmpeg of the system: another decoder than ours."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from avssl_downstream.spatialize.apply import apply
from avssl_downstream.spatialize.options import SpatializeOptions

from avssl.media import read_all_audio
from avssl.models.runtime import single_process

MEDIA = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[4] / "shared" / "data"))
OPTIONS = SpatializeOptions()


def media(name):
    if not (MEDIA / name).is_file():
        pytest.skip(f"no {MEDIA / name}; set AVSSL_TEST_MEDIA to the folder of test media")
    return MEDIA / name


def probed(path):
    if not (shutil.which("ffprobe") and shutil.which("ffmpeg")):
        pytest.skip("ffprobe and ffmpeg are not installed")
    text = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", path], capture_output=True, text=True, check=True
    ).stdout
    return {each["codec_type"]: each for each in json.loads(text)["streams"]}


def decoded(path, channels):
    """Audio as the system's ffmpeg decodes it."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "0:a:0", "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.float32).reshape(-1, channels).T


@pytest.mark.parametrize("name", ["nasa_13013.mp4", "lhotse_big_buck_bunny_small.mp4"])
@pytest.mark.heavy
def test_an_ordinary_video_gets_two_ears(tmp_path, pan, name):
    source, target = media(f"free/action/{name}"), tmp_path / "out.mp4"
    apply(source, target, pan, replace(OPTIONS, mix="mean"), single_process("32-true"))
    streams, own = probed(target), read_all_audio(target)[0].numpy()
    assert streams["audio"]["channels"] == 2
    assert streams["video"]["start_time"] == streams["audio"]["start_time"] == "0.000000"
    other = decoded(target, 2)
    count = min(own.shape[1], other.shape[1])
    assert np.abs(own[:, :count] - other[:, :count]).max() < 1e-3
    mono = read_all_audio(source)[0].mean(0).numpy()[:count]
    error = other.mean(0)[: len(mono)] - mono[: other.shape[1]]
    assert np.mean(error**2) < 0.02 * np.mean(mono**2)


@pytest.mark.heavy
def test_a_360_degree_video_gets_a_field_that_players_know(tmp_path, around):
    source, target = media("restricted/video360/NdE7uYVaynQl_0.webm"), tmp_path / "out.mp4"
    apply(source, target, around, replace(OPTIONS, mix="first", panorama=True), single_process("32-true"))
    streams = probed(target)
    assert streams["audio"]["channels"] == 4
    kinds = [each.get("side_data_type", "") for each in streams["video"].get("side_data_list", [])]
    assert any("Spherical" in kind for kind in kinds)
    other, first = decoded(target, 4)[0], read_all_audio(source)[0][0].numpy()
    count = min(len(other), len(first))
    assert np.mean((other[:count] - first[:count]) ** 2) < 0.02 * np.mean(first[:count] ** 2)
    assert b"SA3D" in target.read_bytes()
