"""Regular files: named pipes, sockets, devices and folders are refused at once; content is read up to a bound."""

import os
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from avssl.errors import InputError, MissingFileError
from avssl.io.tensor_files import read_tensors
from avssl.regular_files import check_regular, is_regular, open_regular, read_bytes, read_json, read_text, utf8_path


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def make_device(path):
    path.symlink_to("/dev/zero")


KINDS = [
    (make_pipe, "a named pipe"), (make_socket, "a socket"), (make_device, "a device"), (os.mkdir, "a folder"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind"), KINDS)
@pytest.mark.parametrize("read", [check_regular, open_regular, read_bytes, read_text, read_json])
@pytest.mark.parametrize("link", [False, True])
def test_what_is_no_regular_file_is_named(tmp_path, make, kind, read, link):
    path = tmp_path / "f"
    make(path)
    if link:
        path = tmp_path / "link"
        path.symlink_to(tmp_path / "f")
    with pytest.raises(InputError, match=f"^{path}: expected a list in a regular file, got {kind}$"):
        read(path, "a list")
    assert not is_regular(path)


def test_a_pipe_that_takes_the_place_of_a_file_is_refused(tmp_path, monkeypatch):
    path, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(path)
    file.touch()
    monkeypatch.setattr("avssl.regular_files.check_regular", lambda *_: None)  # it was a file until here
    with pytest.raises(InputError, match="got a named pipe"):
        open_regular(path, "a list")


@pytest.mark.parametrize("name", ["gone", "a\0b", "file/below"])
def test_a_missing_file_is_named(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(MissingFileError, match="expected a list, there is no such file$"):
        read_text(tmp_path / name, "a list")
    assert not is_regular(tmp_path / name)


def test_a_dangling_link_is_named_as_such(tmp_path):
    (tmp_path / "link").symlink_to("nothing")
    with pytest.raises(MissingFileError, match="there is no such file that the link leads to$"):
        check_regular(tmp_path / "link", "a list")


def test_a_name_too_long_for_a_file_is_no_file(tmp_path):
    assert not is_regular(tmp_path / ("x" * 300))


def test_content_is_read_through_links(tmp_path):
    (tmp_path / "file").write_text("é\n", encoding="utf-8")
    (tmp_path / "link").symlink_to("file")
    assert read_text(tmp_path / "link", "a list") == "é\n"


def test_a_file_over_the_bound_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)
    with pytest.raises(InputError, match=f"^{path}: expected a list of 16 MiB at most, got 3072.0 MiB$"):
        read_text(path, "a list")


def test_the_bound_itself_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"1234")
    assert read_bytes(tmp_path / "file", "a list", most=4) == b"1234"
    with pytest.raises(InputError, match="at most"):
        read_bytes(tmp_path / "file", "a list", most=3)


def test_text_of_another_encoding_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="file: expected a list in UTF-8: 'utf-8' codec"):
        read_text(tmp_path / "file", "a list")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": ' * 100_000, "9" * 5000])
def test_broken_deep_and_huge_json_is_refused(tmp_path, text):
    (tmp_path / "file").write_text(text)
    with pytest.raises(InputError, match="file: expected settings in JSON, cannot be read: ") as error:
        read_json(tmp_path / "file", "settings in JSON")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [b"plain", "caf\u00e9".encode(), b"caf\xe9", b"\xff\n"])
def test_a_file_of_any_name_has_a_path_in_utf8(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"content")
    with utf8_path(path, "a file") as found:
        assert Path(found).read_bytes() == b"content"
        assert found.encode("utf-8")


def test_tensors_in_a_folder_whose_name_is_not_utf8_are_read(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    save_file({"a": torch.arange(3.0)}, tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").rename(folder / "w.safetensors")
    assert read_tensors(folder / "w.safetensors")["a"].tolist() == [0, 1, 2]
