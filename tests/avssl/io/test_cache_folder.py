"""Where caches lie, and what becomes of one that cannot be written."""

from pathlib import Path

import pytest

from avssl.errors import InputError, OutputError
from avssl.io import cache_folder as module
from avssl.io.cache_folder import cache_folder, require_cache, writable_cache


@pytest.mark.parametrize(
    ("own", "standard", "expected"),
    [
        ("/a/cache", "/b", "/a/cache"),
        ("", "/b", "/b/avssl"),
        ("", "relative", "/home/someone/.cache/avssl"),
        ("", "", "/home/someone/.cache/avssl"),
    ],
)
def test_the_folder_follows_our_variable_then_the_standard_one_then_the_home(monkeypatch, own, standard, expected):
    monkeypatch.setenv("AVSSL_CACHE", own)
    monkeypatch.setenv("XDG_CACHE_HOME", standard)
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path(expected)


def test_without_a_home_the_error_names_the_variable(monkeypatch):
    for name in ("AVSSL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(InputError, match="expected a home folder for the cache, got none; AVSSL_CACHE names"):
        cache_folder()


def test_a_folder_that_is_needed_and_cannot_be_written_names_the_variable(tmp_path):
    assert require_cache(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/x: cannot be written: Not a directory; AVSSL_CACHE names"):
        require_cache(tmp_path / "file" / "x")


def test_another_one_is_replaced_for_this_process_with_one_warning(tmp_path, caplog, monkeypatch):
    assert writable_cache(tmp_path / "a") == tmp_path / "a"
    (tmp_path / "file").touch()
    monkeypatch.setattr(module, "_warned", False)
    folders = [writable_cache(tmp_path / "file" / "x") for _ in range(2)]
    assert folders[0] == folders[1]
    (folders[0] / "value").write_text("kept")
    assert len(caplog.records) == 1
