"""A bucket of moto's S3 server: training reads packed clips, `embed` and `prepare` find files below a folder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avssl.config import DataConfig
from avssl.data.loader import Batches
from avssl.datasets.layouts.files import Files
from avssl.datasets.manifest import Row, read_manifest, write_manifest
from avssl.datasets.pack_shards import pack
from avssl.datasets.prepare import prepare
from avssl.embedding.media_discovery import find_media
from avssl.errors import InputError, MissingFileError, one_line
from avssl.media import write_audio, write_video
from avssl.media.mp4.spatial_mp4 import write_spatial_mp4
from avssl.stores import remote_store

pytestmark = pytest.mark.slow
RATE = 24000


@pytest.fixture(scope="module")
def bucket():
    """Uploads a folder to the bucket; returns its address."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setattr(remote_store, "FIRST_WAIT", 0.01)
        store = s3fs.S3FileSystem()
        store.mkdir("clips")

        def upload(folder):
            store.put(str(folder), "clips/", recursive=True)
            return Path("s3://clips") / folder.name

        yield upload
    server.stop()


def test_training_reads_a_bucket_as_the_folder(bucket, tmp_path):
    root, generator = tmp_path / "plain", np.random.default_rng(0)
    root.mkdir()
    rows = []
    for name in "abcd":
        write_video(root / f"{name}.mp4", generator.integers(0, 255, (10, 32, 64, 3), np.uint8), 8.0, gop=4)
        write_audio(root / f"{name}.wav", generator.uniform(-0.5, 0.5, (4, 30000)).astype(np.float32), RATE)
        shape = (8.0, 64, 32, RATE, "ambix", "", 0.0, 0.0, 0.0, name)
        rows.append(Row(name, "train", f"{name}.mp4", f"{name}.wav", 0.0, 1.25, *shape))
    write_manifest(root, rows)
    pack(root, tmp_path / "packed", progress=False)

    def batch(folder, workers):
        data = DataConfig(batch=2, workers=workers, seconds=0.5, frames=3, frame_rate=8.0)
        views = lambda clip, _: {"frames": clip.frames, "audio": clip.audio}  # noqa: E731
        return list(Batches(read_manifest(folder), views, data, RATE, seed=3).between(0, 2))

    expected = batch(root, 0)
    for folder in (bucket(root), bucket(tmp_path / "packed")):
        for workers in (0, 1):  # a fork after connections were made
            for one, other in zip(expected, batch(folder, workers), strict=True):
                assert torch.equal(one["frames"], other["frames"])
                assert torch.equal(one["audio"], other["audio"])
    assert [medium.name for medium in find_media(Path("s3://clips/packed"), tmp_path)] == list("abcd")


def test_recordings_of_a_bucket_are_found_and_prepared(bucket, tmp_path):
    films, generator = tmp_path / "films", np.random.default_rng(0)
    (films / "below").mkdir(parents=True)
    for name in ("one", "below/two"):
        write_video(tmp_path / "silent.mp4", generator.integers(0, 255, (16, 64, 128, 3), np.uint8), 16.0)
        sound = torch.from_numpy(generator.uniform(-0.3, 0.3, (4, 48000)).astype(np.float32))
        write_spatial_mp4(films / f"{name}.mp4", tmp_path / "silent.mp4", [sound], 48000, panoramic=True)
    there = bucket(films)
    assert [each.video for each in Files(None).read(there).recordings] == ["below/two.mp4", "one.mp4"]
    assert [medium.name for medium in find_media(there, tmp_path)] == ["below/two.mp4", "one.mp4"]
    local, remote = (
        prepare(root, tmp_path / f"out{index}", "files", workers=1, progress=False)
        for index, root in enumerate((films, there))
    )
    assert len(remote.rows) == 2
    assert not remote.failed
    assert remote.rows[0].source == "s3://clips/films/below/two.mp4"
    for one, other in zip(local.rows, remote.rows, strict=True):
        assert (tmp_path / "out0" / one.audio).read_bytes() == (tmp_path / "out1" / other.audio).read_bytes()
        assert (tmp_path / "out0" / one.video).read_bytes() == (tmp_path / "out1" / other.video).read_bytes()
    assert prepare(there, tmp_path / "out1", "files", workers=1, progress=False).skipped == 2


def test_what_is_not_there_is_one_line(bucket):
    with pytest.raises(MissingFileError, match="s3://clips/none/manifest.parquet: expected a file, the store has none"):
        read_manifest("s3://clips/none")
    with pytest.raises(InputError) as caught:
        read_manifest("s3://nobody/none")
    assert one_line(caught.value).startswith("s3://nobody/none/manifest.parquet: ")
