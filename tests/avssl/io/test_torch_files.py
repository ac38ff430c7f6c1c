"""Files of torch.save: values and tensors come back, other objects as records, and nothing runs."""

import os
import pickle
import zipfile
from collections import OrderedDict
from fractions import Fraction

import numpy as np
import pytest
import torch

from avssl.io.torch_files import Record, read_torch


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_tensors_and_plain_values_come_back(tmp_path):
    path = tmp_path / "x.pt"
    torch.save(
        {"a": torch.arange(3), "b": [1, 2.5, "c", None, (True,)], "c": OrderedDict(d=torch.ones(2).half())}, path
    )
    found = read_torch(path)
    assert torch.equal(found["a"], torch.arange(3))
    assert found["b"] == [1, 2.5, "c", None, (True,)]
    assert found["c"]["d"].dtype == torch.float16
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)  # as weights of 2019 are
    assert torch.equal(read_torch(path)["a"], torch.ones(2))


def test_objects_come_back_as_records_of_their_class(tmp_path):
    torch.save({"value": Fraction(1, 2), "layer": torch.nn.Linear(2, 3), "number": np.float64(0.5)}, tmp_path / "x.pt")
    found = read_torch(tmp_path / "x.pt", lambda name: True)
    assert isinstance(found["value"], Record)
    assert (found["value"].kind, found["value"].args) == ("fractions.Fraction", (1, 2))
    assert found["layer"].kind == "torch.nn.modules.linear.Linear"
    assert (found["layer"].get("in_features"), found["layer"].get("missing")) == (2, None)
    assert found["layer"].get("_parameters")["weight"].shape == (3, 2)
    assert isinstance(found["number"], Record)


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("new", [False, True])
def test_no_function_in_a_file_is_called(tmp_path, recorded, new):
    marker, path = tmp_path / "ran", tmp_path / "x.pt"
    for call in (
        Call(os.system, f"touch {marker}"),
        Call(eval, f"open({str(marker)!r}, 'w')"),
        Call(os.mkdir, str(marker)),
        Call(torch.save, [1], str(marker)),
        Call(torch.hub.load, str(tmp_path), "x"),
    ):
        torch.save({"a": call}, path, _use_new_zipfile_serialization=new)
        found = outcome(path, recorded)
        assert isinstance(found, Record) or "nothing was run" in found
        assert "weights_only" not in str(found)
        assert "\n" not in str(found)
        assert not marker.exists()


def outcome(path, recorded):
    try:
        return read_torch(path, lambda name: recorded)["a"]
    except ValueError as error:
        return str(error)


def test_allowances_of_the_process_are_as_before(tmp_path):
    torch.save({"a": Fraction(1, 2)}, tmp_path / "x.pt")
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([Fraction])
    try:
        with pytest.raises(ValueError, match=r"x\.pt: expected tensors and plain values"):
            read_torch(tmp_path / "x.pt")
        assert set(torch.serialization.get_safe_globals()) == {*before, Fraction}
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("new", [False, True])
def test_a_cut_file_is_one_line(tmp_path, share, new):
    path = tmp_path / "x.pt"
    torch.save({"a": torch.ones(1000)}, path, _use_new_zipfile_serialization=new)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"x\.pt: expected") as caught:
        read_torch(path)
    assert "\n" not in str(caught.value)


def test_an_archive_that_unpacks_to_more_than_its_size_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(10**7))
    with pytest.raises(ValueError, match="expected an archive of at most its own size, got one of 10000000 b"):
        read_torch(tmp_path / "x.pt")


def test_many_tuples_beside_one_another_are_read(tmp_path):
    """As a curve of a long run is."""
    curve = [(step, float(step)) for step in range(50_000)]
    torch.save({"curve": curve, "deep": ((((1,),),),)}, tmp_path / "x.pt")
    assert read_torch(tmp_path / "x.pt") == {"curve": curve, "deep": ((((1,),),),)}


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("way", [b"\x85", b"\x85q\x01h\x01", b"N\x86", b"K\x01K\x02\x87", b"q\x010(h\x01t"])
def test_tuples_inside_one_another_do_not_end_the_process(tmp_path, new, way):
    """As a key, they are hashed by recursion on the stack of the processor."""
    path, deep = tmp_path / "x.pt", b"\x80\x02}N" + way * 300_000 + b"K\x01s."
    torch.save({"a": 1}, path, _use_new_zipfile_serialization=new)
    if new:
        with zipfile.ZipFile(path) as archive:
            content = {each: archive.read(each) for each in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, each in content.items():
                archive.writestr(name, deep if name.endswith("data.pkl") else each)
    else:
        path.write_bytes(path.read_bytes().replace(pickle.dumps({"a": 1}, protocol=2), deep))
        assert path.stat().st_size > 300_000
    with pytest.raises(ValueError, match=r"x\.pt: expected tuples at most 1000 deep"):
        read_torch(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", pickle.dumps({"a": 1}), bytes(1000)])
def test_other_files_are_one_line(tmp_path, content):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pt: expected") as caught:
        read_torch(tmp_path / "x.pt")
    assert "weights_only" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"y\.pt: expected a file of torch\.save"):
        read_torch(tmp_path / "y.pt")
