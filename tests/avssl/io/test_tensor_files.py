"""Tensors of files: what is taken into a module, and what is refused before the module changes."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from avssl.io.tensor_files import check_shapes, is_finite, load_tensors, read_tensors

NAN, INF = float("nan"), float("inf")


def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_real_numbers_of_any_width_are_taken_as_float32(kind):
    source, target = module(), nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    load_tensors(target, {name: each.to(kind) for name, each in source.state_dict().items()}, "w")
    assert target[0].weight.dtype == torch.float32
    torch.testing.assert_close(target[0].weight, source[0].weight.to(kind).float())
    assert target[1].num_batches_tracked.dtype == torch.int64


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("0.weight", torch.full((2, 3), NAN), "0.weight (NaN or infinity as float32)"),
        ("0.bias", torch.tensor([0.0, INF]), "0.bias (NaN or infinity as float32)"),
        ("0.bias", torch.tensor([0.0, 1e300], dtype=torch.float64), "0.bias (NaN or infinity as float32)"),
        ("0.weight", torch.ones(2, 3, dtype=torch.int64), "0.weight (int64 instead of float32)"),
        ("0.weight", torch.ones(2, 3, dtype=torch.uint8), "0.weight (uint8 instead of float32)"),
        ("0.weight", torch.ones(2, 3, dtype=torch.bool), "0.weight (bool instead of float32)"),
        ("0.weight", torch.ones(2, 3, dtype=torch.complex64), "0.weight (complex64 instead of float32)"),
        ("0.weight", torch.ones(2, 3, device="meta"), "0.weight (not a dense tensor)"),
        ("0.weight", torch.ones(2, 3).to_sparse(), "0.weight (not a dense tensor)"),
        ("1.running_var", torch.tensor([1.0, -0.5]), "1.running_var (a negative variance)"),
        ("1.num_batches_tracked", torch.tensor(0.5), "1.num_batches_tracked (fractions as int64)"),
        ("1.num_batches_tracked", torch.tensor(NAN), "1.num_batches_tracked (fractions as int64)"),
        ("0.weight", torch.ones(1).expand(10**6, 10**6), "other shapes at 0.weight (1000000, 1000000)"),
        ("x" * 5000, torch.ones(1), "has unexpected xxx"),
    ],
)
def test_unusable_tensors_are_named_and_change_nothing(name, value, message):
    target = module()
    before = {key: each.clone() for key, each in target.state_dict().items()}
    with pytest.raises(ValueError, match="^w: ") as caught:
        load_tensors(target, {**module().state_dict(), name: value}, "w")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400
    for key, each in target.state_dict().items():
        assert torch.equal(each, before[key]), key


def test_a_mask_of_infinities_is_no_spoiled_weight():
    def masked(value):
        made = module()
        made.register_buffer("mask", torch.full((2,), value))
        return made

    target = masked(-INF)
    load_tensors(target, masked(-INF).state_dict(), "w")
    assert is_finite(target)
    with pytest.raises(ValueError, match=r"mask \(NaN"):
        load_tensors(target, masked(NAN).state_dict(), "w")
    assert not is_finite(masked(NAN))
    nn.init.constant_(target[0].bias, INF)
    assert not is_finite(target)


def test_shapes_are_checked_for_a_module_without_storage():
    with torch.device("meta"):
        large = nn.Linear(10**6, 10**6)  # 4 TB
    with pytest.raises(ValueError, match=r"other shapes at weight \(2, 3\) instead of \(1000000, 1000000\)"):
        check_shapes(large, {"weight": torch.ones(2, 3), "bias": torch.ones(10**6)}, "w")


def header(**entries):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def entry(shape, end, kind="F32", begin=0):
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 10**5) + b"[" * 10**5,
        header(a=entry([2], 16)) + bytes(16),
        header(a=entry([10**12], 4 * 10**12)) + bytes(8),
        header(a=entry([2**40, 2**40], 8)) + bytes(8),
        header(a=entry([2], 8), b=entry([2], 8)) + bytes(8),
        header(a=entry([-2], 8)) + bytes(8),
        header(a=entry([2], 8, "F99")) + bytes(8),
        header(a=entry([2], 0, begin=8)) + bytes(8),
        header(a=entry([2], 8)) + bytes(7),
        header(a=entry([2], 8)) + bytes(9),
        header(a="text"),
        b"\x80\x02cposix\nsystem\n.",
    ],
)
def test_a_header_that_lies_is_one_line(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.safetensors: expected a complete safetensors file") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)


def test_a_sparse_file_of_gigabytes_is_refused_by_its_shape_without_being_read(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(module().state_dict(), path)
    with path.open("wb") as file:
        file.write(header(weight=entry([2**20, 2**13], 2**35), bias=entry([1], 2**35 + 4, begin=2**35)))
        file.truncate(file.tell() + 2**35 + 4)  # 32 GB of nothing
    with pytest.raises(ValueError, match="other shapes at weight|unable to mmap"):
        load_tensors(nn.Linear(3, 1), read_tensors(path), str(path))
