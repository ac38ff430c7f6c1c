"""Values at extremes, and files with them."""

from __future__ import annotations

import json
import math
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

Generator = np.random.Generator
TEXTS = (
    "", ".", "..", "../x.wav", "../../../etc/passwd", "/etc/passwd", "/dev/zero", "/dev/stdin", "a\0b", "a\nb",
    "x" * 300, "x" * 100_000, "nan", "1e999", "é\u202e\u0300", "C:\\x.wav", "file:///etc/passwd", "http://localhost/x.mp4",
    "pipe:0", "concat:a|b", "-", "~", "$HOME", "*", "\ufeff", "true",
)  # fmt: skip
NUMBERS = (
    0, -1, 1, 2, 3, 7, 255, 65536, 10**6, 10**9, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**62, -(2**63), 10**18, 0.5, -0.0,
    1e-300, 1e300, 1e9, 5e8, math.nan, math.inf, -math.inf,
)  # fmt: skip
OTHERS = (None, True, False, [], {}, [1, 2], {"a": 1}, [[[[[[]]]]]], ["x"] * 1000, [10**9])
DEEP = 100_000
"""Brackets within brackets."""


def hostile_value(rng: Generator, like: Any = None) -> Any:
    """A value at an extreme, mostly of the kind of another one."""
    text = isinstance(like, str)
    pool = (TEXTS if text else NUMBERS) if rng.random() < 0.85 else (NUMBERS, TEXTS, OTHERS)[rng.integers(3)]
    return pool[rng.integers(len(pool))]


def change_leaf(value: Any, rng: Generator) -> str:
    """Replace, remove or add a value somewhere inside nested mappings and lists; returns the place and the value."""
    path = []
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return "unchanged"
        key = keys[rng.integers(len(keys))]
        path.append(str(key))
        inner = value[key]
        if not (isinstance(inner, dict | list) and len(inner)) or rng.random() < 0.1:
            break
        value = inner
    if isinstance(value, dict) and rng.random() < 0.1:
        del value[key]
        return f"{'.'.join(path)} removed"
    value[key] = other = _other(inner, rng)
    return f"{'.'.join(path)}={str(other)[:40]!r}"


def _other(inner: Any, rng: Generator) -> Any:
    import torch

    if isinstance(inner, torch.Tensor) and rng.random() < 0.7:
        changed = (
            lambda: inner.flatten()[:1], lambda: inner * math.nan, lambda: inner.to(torch.int64), lambda: inner[None],
            lambda: inner.to(torch.complex64), lambda: inner.double(),
        )  # fmt: skip
        return changed[rng.integers(len(changed))]()
    return hostile_value(rng, inner)


def change_json(path: Path, rng: Generator) -> str:
    """Change a value of a JSON file, or nest one deeply."""
    content = json.loads(path.read_text(encoding="utf-8"))
    title = change_leaf(content, rng)
    text = json.dumps(content)
    if rng.random() < 0.05:
        text, title = text[:-1] + ', "deep": ' + "[" * DEEP + "]" * DEEP + "}", "deep"
    path.write_text(text, encoding="utf-8")
    return title


def change_tensors(path: Path, rng: Generator) -> str:
    """Change a tensor of a safetensors file, or what its header says of one."""
    from safetensors.torch import load_file, save_file

    if rng.random() < 0.5:
        tensors = load_file(path)
        name = sorted(tensors)[rng.integers(len(tensors))]
        other = _other(tensors[name], np.random.default_rng(int(rng.integers(2**32))))
        import torch

        tensors[name] = other.contiguous() if isinstance(other, torch.Tensor) else tensors[name] * math.nan
        save_file(tensors, path, metadata={"format": "pt"})
        return f"{name}: {tensors[name].dtype} {list(tensors[name].shape)}"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    title = change_leaf(header, rng)
    text = json.dumps(header).encode()
    size = len(text) if rng.random() < 0.8 else int(rng.choice([0, 1, 2**31, 2**63 - 1]))
    path.write_bytes(size.to_bytes(8, "little") + text + data[8 + length :])
    return f"header {title}, {size} bytes"


def change_yaml(path: Path, given: dict[str, Any], rng: Generator) -> str:
    """Write a recipe with a changed value, a hostile base, aliases that grow, or deep nesting."""
    what = rng.random()
    if what < 0.2:
        given["base"] = [str(path), path.name, 3, ["avsa/small"], {"a": 1}, "..", "/dev/zero", None][rng.integers(8)]
        path.write_text(json.dumps(given), encoding="utf-8")
        return f"base={str(given['base'])[:40]!r}"
    if what < 0.3:
        lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
        lines += [f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(9)]
        path.write_text("\n".join(lines), encoding="utf-8")
        return "aliases"
    if what < 0.4:
        path.write_text("options: " + "[" * DEEP + "]" * DEEP, encoding="utf-8")
        return "deep"
    given |= {"options": {"crops": 2, "size": 32}, "optim": {"lr": 1e-3, "milestones": [0.5]}, "features": {"mels": 64}}
    title = change_leaf(given, rng)
    path.write_text(json.dumps(given).replace("NaN", ".nan").replace("Infinity", ".inf"), encoding="utf-8")
    return title


def change_line(path: Path, rng: Generator) -> str:
    """Change a line of a list, or one of its fields."""
    lines = path.read_bytes().splitlines(keepends=True)
    place = int(rng.integers(len(lines)))
    fields = lines[place].decode().replace("\t", " \t").split(" ")
    new: tuple[bytes, ...] = (
        b"", b"\0\n", b"\xff\xfe\n", b"a" * 10**6 + b"\n", b"../../outside/x.avi 1\n", b"/etc/passwd 1\n",
        b"\xef\xbb\xbf", lines[place] * 2, lines[place][:-2], b" " + lines[place], lines[place].replace(b".", b"\0"),
        b"-1 -1\n",
    )  # fmt: skip
    if rng.random() < 0.5:
        fields[rng.integers(len(fields))] = str(hostile_value(rng, "x"))
        changed = " ".join(fields).replace(" \t", "\t").encode("utf-8", "replace") + b"\n"
    else:
        changed = new[rng.integers(len(new))]
    lines[place] = changed
    path.write_bytes(b"".join(lines))
    return f"line {place + 1} is {changed[:40]!r}"


def write_code(path: Path, mark: Path) -> str:
    """A pickle that makes a file when it is loaded without care."""

    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(mark),)

    path.write_bytes(pickle.dumps({"run": Code(), "task": {}, "optimizer": {}}, 2))
    return "code in a pickle"


def write_sofa(path: Path, rng: Generator) -> str:
    """A small SOFA file with one variable or attribute at an extreme, absurdly large, or outside the file."""
    import h5py

    impulses = np.zeros((4, 2, 32))
    impulses[:, 0, 5], impulses[:, 1, 5] = [1, 2, 1, 0.5], [1, 0.5, 1, 2]
    content = {
        "Data.IR": impulses, "Data.SamplingRate": np.array([48000.0]), "Data.Delay": np.zeros((1, 2)),
        "SourcePosition": np.array([[0, 0, 1], [90, 0, 1], [180, 0, 1], [270, 0, 1.0]]),
        "ReceiverPosition": np.array([[[0], [0.09], [0]], [[0], [-0.09], [0]]]), "ListenerPosition": np.zeros((1, 3)),
        "ListenerView": np.array([[1.0, 0, 0]]), "ListenerUp": np.array([[0, 0, 1.0]]),
    }  # fmt: skip
    attributes = {"Conventions": "SOFA", "SOFAConventions": "SimpleFreeFieldHRIR", "DataType": "FIR"}
    name = list(content)[rng.integers(len(content))]
    what = ("value", "shape", "huge", "link", "storage", "text", "attribute", "none")[rng.integers(8)]
    with h5py.File(path, "w") as file:
        if what == "attribute":
            attributes[list(attributes)[rng.integers(3)]] = str(hostile_value(rng, "x")).replace("\0", "")[:60000]
        file.attrs.update(attributes)
        for key, value in content.items():
            if key != name or what in ("attribute", "none"):
                file.create_dataset(key, data=value)
            elif what == "value":
                value.flat[rng.integers(value.size)] = float(NUMBERS[rng.integers(len(NUMBERS))])
                file.create_dataset(key, data=value)
            elif what == "shape":
                file.create_dataset(key, data=value.reshape(-1)[: rng.integers(0, value.size + 1)])
            elif what == "huge":
                file.create_dataset(key, (10**5, 2, 10**5), "f8", chunks=(1, 2, 1000))
            elif what == "link":
                file[key] = h5py.ExternalLink("/etc/passwd", "/x")
            elif what == "storage":
                file.create_dataset(key, value.shape, "f8", external=[("/etc/passwd", 0, value.nbytes)])
            else:
                file.create_dataset(key, data="text")
        for key in content:
            if what != "link" and key in file:
                file[key].attrs["Type"] = "spherical" if key == "SourcePosition" else "cartesian"
    return f"{name} {what}"
