"""Media behind HTTP: the same samples and pixels as from the disk, and one line where the store fails."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avssl.datasets.manifest import Row, read_manifest, write_manifest
from avssl.errors import InputError, MissingFileError, one_line
from avssl.media import probe, read_audio, read_frames, write_audio, write_video
from avssl.regular_files import check_regular, is_regular, open_regular
from avssl.stores import virtual_files
from avssl.stores.virtual_paths import PackedPath, absolute_path, address_text, is_address, is_virtual, packed_parts


@pytest.fixture
def films(store):
    """A film and its sound in the server's folder."""
    generator = np.random.default_rng(0)
    write_video(store.root / "a.mp4", generator.integers(0, 255, (12, 64, 96, 3), np.uint8), 8.0, gop=4)
    write_audio(store.root / "a.wav", generator.uniform(-0.5, 0.5, (4, 12000)).astype(np.float32), 8000)
    write_audio(store.root / "a.flac", generator.uniform(-0.5, 0.5, (2, 12000)).astype(np.float32), 8000)
    return store


def test_paths_of_stores_join_as_others_and_have_both_slashes_in_messages():
    path = Path("s3://bucket/folder") / "media" / "a.mp4"
    assert is_address(path)
    assert is_virtual(path)
    assert address_text(path) == "s3://bucket/folder/media/a.mp4"
    assert absolute_path(path) == path
    assert address_text(Path("https://host:80/a b/c")) == "https://host:80/a b/c"
    assert not any(map(is_virtual, (Path("/a/s3:/b"), Path("http"), Path("a.tar/b"), Path("C:/x"), Path("s3:"))))
    packed = Path("s3://b/00000.tar/@512+1024-00ff0aa0/a.mp4")
    assert packed_parts(packed) == PackedPath(Path("s3://b/00000.tar"), 512, 1024, 0xFF0AA0, "a.mp4")
    assert Path(str(packed_parts(packed))) == packed
    assert packed_parts(Path("b/00000.tar")) is None
    message = one_line(InputError(f"{path}: expected a video"))
    assert message == "s3://bucket/folder/media/a.mp4: expected a video"


def test_media_of_a_store_are_those_of_the_disk(films):
    there = Path(films.url())
    times = [0.0, 0.6, 1.3]
    assert torch.equal(read_frames(there / "a.mp4", times), read_frames(films.root / "a.mp4", times))
    for name in ("a.wav", "a.flac"):
        (one, rate), (other, _) = (read_audio(root / name, 0.5, 0.7) for root in (there, films.root))
        assert torch.equal(one, other)
        assert rate == 8000
    assert probe(there / "a.mp4") == probe(films.root / "a.mp4")
    assert check_regular(there / "a.wav", "sound").st_size == (films.root / "a.wav").stat().st_size
    # small files are read once, whole
    assert len([each for each in films.requests if each[0] == "GET"]) == 3


def test_of_a_large_file_only_blocks_are_read(store, monkeypatch):
    monkeypatch.setattr(virtual_files, "WHOLE", 0)
    monkeypatch.setattr(virtual_files, "BLOCK", 1000)
    content = np.random.default_rng(1).bytes(10_500)
    (store.root / "x.bin").write_bytes(content)
    with open_regular(Path(store.url()) / "x.bin", "bytes") as file:
        file.seek(5_200)
        assert file.raw.read(100) == content[5_200:5_300]
        assert [each[2] for each in store.requests if each[0] == "GET"] == ["bytes=5000-5999"]
        file.seek(0)
        assert file.read() == content
        file.seek(-10, 2)
        assert file.read(100) == content[-10:]
    assert len([each for each in store.requests if each[0] == "GET"]) == 11  # each block once


@pytest.mark.parametrize(
    ("mode", "name", "line"),
    [
        ("forbidden", "a.mp4", "the store refuses access (403"),
        ("ok", "b.mp4", "expected a file, the store has none (404)"),
        ("halfway", "a.mp4", "expected 5 tries to be enough, the store failed at each"),
        ("whole", "big.wav", "expected a store that serves ranges of bytes (HTTP Range), got the whole file"),
    ],
)
def test_what_a_store_does_not_give_is_one_line(films, mode, name, line):
    write_audio(films.root / "big.wav", torch.zeros(2, 2_200_000), 48000)
    with pytest.raises(InputError) as caught:
        (read_audio if name.endswith("wav") else lambda path, *_: read_frames(path, [0.0]))(
            Path(films.url(mode)) / name, 30.0, 1.0
        )
    message = one_line(caught.value)
    assert message.startswith(f"{films.url(mode)}/{name}: {line}")
    assert isinstance(caught.value, MissingFileError) == (name == "b.mp4")


def test_a_store_that_fails_for_a_moment_is_asked_again(films):
    path = Path(films.url("flaky")) / "a.wav"
    assert torch.equal(read_audio(path, 0.0, 1.0)[0], read_audio(films.root / "a.wav", 0.0, 1.0)[0])
    assert films.tries["a.wav"] == 3


def test_a_missing_object_is_no_file(store):
    assert not is_regular(Path(store.url()) / "gone")


@pytest.mark.parametrize("video", ["../a.mp4", "/etc/a.mp4", "%2e%2E/a.mp4", "a.mp4?b", "..%2fa.mp4"])
def test_no_path_of_a_manifest_leaves_its_address(store, video):
    shape = (8.0, 64, 32, 8000, "ambix", "", 0.0, 0.0, 0.0, "a")
    write_manifest(store.root / "manifest.parquet", [Row("a", "", video, "a.wav", 0.0, 1.0, *shape)])
    with pytest.raises(InputError, match="paths stay inside the manifest's folder") as caught:
        read_manifest(store.url())
    assert not [each for each in store.requests if "a.mp4" in each[1]]
    assert one_line(caught.value).startswith(f"{store.url()}/manifest.parquet: ")
