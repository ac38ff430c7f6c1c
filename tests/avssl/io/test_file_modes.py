"""Every writer of a folder leaves files with the mode that the umask gives a new file."""

import os
import stat

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from avssl.config import FeatureConfig, ModelConfig
from avssl.datasets.manifest import Row, write_manifest
from avssl.embedding.table_writer import embedding_table
from avssl.embedding.tensor_shards import TensorShards
from avssl.io.atomic import replacing, write_text
from avssl.media import write_audio, write_avi, write_spatial_mp4, write_video
from avssl.media.wav_writer import write_wav
from avssl.models.encoder_factory import build_encoders
from avssl.train import checkpoint

FRAMES = [np.zeros((32, 64, 3), np.uint8)] * 4
AUDIO = torch.zeros(4, 8000)
ROW = Row("a", "", "a.mp4", "a.wav", 0.0, 1.0, 4.0, 64, 32, 8000, "ambix", "", 0.0, 0.0, 0.0, "")


def weights(path):
    with replacing(path) as part:
        save_file({"weight": torch.zeros(2)}, part)


def spatial_mp4(path):
    write_video(path.with_name("b.mp4"), FRAMES, 4.0)
    write_spatial_mp4(path, path.with_name("b.mp4"), [torch.zeros(4, 48000)], 48000, panoramic=True)


def shards(path):
    with TensorShards(path, 3) as found:
        found.add("a", torch.zeros(2))


def table(path):
    with embedding_table(path, 1.0) as add:
        add("a.wav", [0.0], "audio", torch.zeros(1, 2))


WRITERS = {
    "encoders": lambda path: build_encoders(ModelConfig(), FeatureConfig()).save(path),
    "a.safetensors": weights,
    "shards": shards,
    "a.ckpt": lambda path: checkpoint.save(path, {"run": {}}),
    "a.json": lambda path: write_text(path, "{}"),
    "manifest.parquet": lambda path: write_manifest(path, [ROW]),
    "a.parquet": table,
    "a.npz": table,
    "a.wav": lambda path: write_audio(path, AUDIO, 8000),
    "b.wav": lambda path: write_wav(path, [AUDIO], 8000),
    "a.mp4": lambda path: write_video(path, FRAMES, 4.0),
    "spatial.mp4": spatial_mp4,
    "a.avi": lambda path: write_avi(path, FRAMES, 4.0, np.zeros((1, 8000), np.float32), 8000),
}


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("name", WRITERS)
def test_files_have_the_mode_of_the_umask(tmp_path, umask, name):
    WRITERS[name](tmp_path / name)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in files} == {
        path.name: 0o666 & ~umask for path in files
    }


def test_a_file_that_is_replaced_loses_the_mode_it_had(tmp_path, umask):
    path = tmp_path / "a.json"
    path.touch()
    path.chmod(0o600)
    write_text(path, "{}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert list(tmp_path.iterdir()) == [path]
