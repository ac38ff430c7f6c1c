"""Packed datasets: the same batches, bit for bit, one read a clip, and spoiled shards in one line."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from avssl.config import DataConfig
from avssl.data.loader import Batches
from avssl.datasets.manifest import Row, read_manifest, write_manifest
from avssl.datasets.pack_shards import pack
from avssl.errors import InputError
from avssl.media import write_audio, write_video
from avssl.stores.span_cache import spans

CLIPS, RATE = 6, 8000


@pytest.fixture
def folder(tmp_path):
    """A dataset of six clips, the last two of one recording."""
    root, generator = tmp_path / "plain", np.random.default_rng(0)
    root.mkdir()
    rows = []
    for number in range(CLIPS):
        name = f"clip.{min(number, CLIPS - 2)}"  # dots in names
        if number < CLIPS - 1:
            write_video(root / f"{name}.mp4", generator.integers(0, 255, (12, 32, 64, 3), np.uint8), 8.0, gop=4)
            write_audio(root / f"{name}.wav", generator.uniform(-0.5, 0.5, (4, 12000)).astype(np.float32), RATE)
        times = (0.25 * (number == CLIPS - 1), 1.25)
        shape = (8.0, 64, 32, RATE, "ambix", "", 0.0, 0.0, 0.0, name)
        rows.append(Row(f"{number}", "train", f"{name}.mp4", f"{name}.wav", *times, *shape))
    write_manifest(root, rows)
    return root


def batches(root, steps=range(4)):
    """Frames and audio of some steps."""
    data = DataConfig(batch=4, workers=0, seconds=0.5, frames=3, frame_rate=8.0)
    made = Batches(
        read_manifest(root), lambda clip, _: {"frames": clip.frames, "audio": clip.audio}, data, RATE, seed=3
    )
    return [next(made.between(step, step + 1)) for step in steps]


def test_batches_of_shards_are_those_of_the_folder_to_the_bit(folder, tmp_path):
    path = pack(folder, tmp_path / "packed", shard_mb=0.1, progress=False)
    assert path == tmp_path / "packed" / "manifest.parquet"
    assert len(list((tmp_path / "packed" / "shards").iterdir())) > 1
    for one, other in zip(batches(folder), batches(tmp_path / "packed"), strict=True):
        assert torch.equal(one["frames"], other["frames"])
        assert torch.equal(one["audio"], other["audio"])


def test_a_clip_of_a_store_is_one_read(folder, tmp_path, store):
    pack(folder, store.root / "packed", progress=False)
    there = Path(store.url()) / "packed"
    expected = batches(folder, [0])[0]
    batches(there, [])
    store.requests.clear()
    spans.clear()
    found = batches(there, [0])[0]
    reads = [each for each in store.requests if each[0] == "GET" and each[1].endswith(".tar")]
    # Four of six clips, two of which are parts of one recording.
    assert 3 <= len(reads) <= 4
    assert len({each[2] for each in reads}) == len(reads)
    assert torch.equal(found["frames"], expected["frames"])
    assert torch.equal(found["audio"], expected["audio"])


def test_shards_are_tars_with_a_sample_after_the_other(folder, tmp_path):
    pack(folder, tmp_path / "packed", progress=False)
    with tarfile.open(tmp_path / "packed" / "shards" / "00000.tar") as tar:
        names = tar.getnames()
        video = tar.extractfile("00000001.mp4").read()
    assert names == [f"{number:08d}{suffix}" for number in range(CLIPS - 1) for suffix in (".mp4", ".wav", ".json")]
    assert video == (folder / "clip.1.mp4").read_bytes()


def test_webdataset_reads_the_shards(folder, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    pack(folder, tmp_path / "packed", progress=False)
    shard = str(tmp_path / "packed" / "shards" / "00000.tar")
    samples = list(webdataset.WebDataset(shard, shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == [f"{number:08d}" for number in range(CLIPS - 1)]
    assert [sample["json"]["key"] for sample in samples] == [str(number) for number in range(CLIPS - 1)]
    assert samples[2]["mp4"] == (folder / "clip.2.mp4").read_bytes()


def test_a_run_that_was_stopped_keeps_whole_shards(folder, tmp_path):
    out = tmp_path / "packed"
    pack(folder, out, shard_mb=0.1, progress=False)
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in (out / "shards").iterdir()}
    (out / "manifest.parquet").rename(tmp_path / "before.parquet")
    lost = out / "shards" / "00001.tar"
    lost.write_bytes(lost.read_bytes()[:-1000])
    pack(folder, out, shard_mb=0.1, progress=False)
    after = {path.name: (path.stat().st_ino, path.read_bytes()) for path in (out / "shards").iterdir()}
    assert {name: content for name, (_, content) in after.items()} == {
        name: content for name, (_, content) in before.items()
    }
    assert [name for name in after if after[name][0] != before[name][0]] == [lost.name]
    assert (out / "manifest.parquet").read_bytes() == (tmp_path / "before.parquet").read_bytes()


def _cut(shard):
    shard.write_bytes(shard.read_bytes()[:-3000])


def _flip(shard):
    content = bytearray(shard.read_bytes())
    content[2000] ^= 1
    shard.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "line"),
    [(_cut, "bytes or more by"), (_flip, "with checksum"), (Path.unlink, "1 of its 1 files are missing")],
)
def test_a_spoiled_shard_is_one_line(folder, tmp_path, spoil, line):
    pack(folder, tmp_path / "packed", progress=False)
    spoil(tmp_path / "packed" / "shards" / "00000.tar")
    with pytest.raises(InputError, match=line) as caught:
        batches(tmp_path / "packed", range(2))
    assert "00000.tar" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_of_its_own_is_needed(folder):
    with pytest.raises(InputError, match="a folder of their own"):
        pack(folder, folder, progress=False)
