import hashlib
import os

from avssl.io import hashing
from avssl.io.hashing import cached_sha256, sha256


def test_the_hash_is_that_of_the_contents_one_after_the_other(tmp_path):
    (tmp_path / "a").write_bytes(b"1" * (2**20 + 1))
    (tmp_path / "b").write_bytes(b"2")
    assert sha256(tmp_path / "a", tmp_path / "b") == hashlib.sha256(b"1" * (2**20 + 1) + b"2").hexdigest()
    assert cached_sha256(tmp_path / "b") == hashlib.sha256(b"2").hexdigest()


def test_a_file_is_read_again_only_if_it_was_changed(tmp_path, monkeypatch):
    path, calls = tmp_path / "a", []
    monkeypatch.setattr(hashing, "sha256", lambda *paths: calls.append(paths) or sha256(*paths))
    path.write_bytes(b"1")
    assert cached_sha256(path) == cached_sha256(path) == sha256(path)
    assert len(calls) == 1
    path.write_bytes(b"2")  # of the same size
    os.utime(path, ns=(1, 1))
    assert cached_sha256(path) == hashlib.sha256(b"2").hexdigest()
    assert len(calls) == 2
