"""Files of an interrupted rendering: what a power cut or a broken copy left of them is rendered again."""

import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from avssl.media import write_audio, write_avi, write_video
from avssl.synth.intact_files import is_intact
from avssl.synth.stage.stage_dataset import stage

SMALL = {"width": 64, "height": 64, "workers": 1, "progress": False}
FRAMES = [np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8) for _ in range(8)]


def avi(path):
    write_avi(path, FRAMES, 8.0, np.random.default_rng(0).random((2, 24000)).astype(np.float32) - 0.5, 24000)


WRITERS = {
    "a.wav": lambda path: write_audio(path, torch.rand(2, 24000) - 0.5, 24000),
    "a.mp4": lambda path: write_video(path, FRAMES, 8.0),
    "a.avi": avi,
    "a.parquet": lambda path: pq.write_table(pa.table({"a": np.random.default_rng(0).random(9000)}), path),
    "a.npz": lambda path: np.savez_compressed(path, a=np.random.default_rng(0).random(9000)),
}
DAMAGES = {
    "emptied": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "without its last byte": lambda content: content[:-1],
    "zeros of its length": lambda content: bytes(len(content)),
    "something else": lambda content: os.urandom(len(content)),
}
ZERO_TAIL = {"last half zeros": lambda content: content[: len(content) // 2] + bytes(len(content) - len(content) // 2)}


@pytest.mark.parametrize("name", WRITERS)
def test_whole_files_are_intact_and_damaged_ones_are_not(tmp_path, name):
    path = tmp_path / name
    assert not is_intact(path)
    WRITERS[name](path)
    assert is_intact(path)
    content = path.read_bytes()
    for damage, spoil in (DAMAGES | (ZERO_TAIL if name != "a.wav" else {})).items():  # sound may end in silence
        path.write_bytes(spoil(content))
        assert not is_intact(path), damage


def test_a_dataset_whose_files_a_power_cut_emptied_is_completed_to_the_same_files(tmp_path):
    whole = tmp_path / "whole"
    stage(whole, 3, 0.5, 2, **SMALL)
    spoiled = shutil.copytree(whole, tmp_path / "spoiled")
    for name, damage in (
        ("00000.mp4", "emptied"),
        ("00000.wav", "half"),
        ("00001.mp4", "half"),
        ("00002.wav", "emptied"),
    ):
        path = spoiled / "media" / name
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    (spoiled / "manifest.parquet").unlink()
    kept = (spoiled / "media/00001.wav").stat().st_mtime_ns
    stage(spoiled, 3, 0.5, 2, **SMALL)
    assert (spoiled / "media/00001.wav").stat().st_mtime_ns == kept
    for path in sorted(whole.rglob("*.*")):
        assert (spoiled / path.relative_to(whole)).read_bytes() == path.read_bytes()


def test_emptied_settings_and_manifest_are_written_again(tmp_path):
    stage(tmp_path, 2, 0.5, 2, **SMALL)
    settings = (tmp_path / "scenes.json").read_bytes()
    (tmp_path / "scenes.json").write_bytes(b"")
    (tmp_path / "manifest.parquet").unlink()
    stage(tmp_path, 2, 0.5, 2, **SMALL)
    assert (tmp_path / "scenes.json").read_bytes() == settings
    assert is_intact(tmp_path / "manifest.parquet")
