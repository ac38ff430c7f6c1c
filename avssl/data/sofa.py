"""Head-related impulse responses from files: SOFA (AES69), and folders of sound files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from avssl.data.hrir_folder import read_folder
from avssl.spatial.ambisonics import angles
from avssl.spatial.between import shifted
from avssl.spatial.hrir import Hrirs

Array = NDArray[np.float64]

_CONVENTION = "SimpleFreeFieldHRIR"
_MOST = 200_000_000
"""Numbers in one variable; ten times the largest set of responses published."""
_LATEST = 1.0
"""Seconds of `Data.Delay`; more is no head."""
_AUDIBLE = 3.0
"""Decibels between the ears, on average over sources at the sides, that tell left from right."""


def read_hrirs(path: Path) -> Hrirs:
    """Read the responses of a listener, at the rate they were measured at.

    Args:
        path: a SOFA file of the convention SimpleFreeFieldHRIR, or a folder of sound files as `read_folder` knows it.

    Raises:
        ValueError: the file is spoiled, of another convention, or holds what is no pair of ears.
        OSError: it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return read_folder(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file or folder of head-related responses")
    try:
        with h5py.File(path, "r") as file:
            return _read(path, file)
    except (OSError, RuntimeError, KeyError) as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(f"{path}: expected a SOFA file, this one cannot be read ({_one_line(error)})") from error


def _read(path: Path, file: h5py.File) -> Hrirs:
    _require_convention(path, file)
    impulses, rate = _numbers(path, file, "Data.IR"), _rate(path, file)
    if impulses.ndim != 3 or impulses.shape[1] != 2 or not impulses.size:
        raise ValueError(f"{path}: Data.IR is (measurements, 2 receivers, samples), this is {impulses.shape}")
    sources = _sources(path, file, len(impulses))
    delayed = _delayed(path, impulses, _rows(path, file, "Data.Delay", len(impulses), 2), rate)
    left = _left_receiver(path, file, impulses, sources)
    kept = _farthest(sources)
    towards = torch.stack(angles(torch.from_numpy(sources[kept])), -1).float()
    ears = delayed[torch.from_numpy(kept)][:, [left, 1 - left]]
    return Hrirs(towards, ears.float().contiguous(), rate)


def _require_convention(path: Path, file: h5py.File) -> None:
    found = _text(file.attrs.get("SOFAConventions"))
    if _text(file.attrs.get("Conventions")) != "SOFA" or not found:
        raise ValueError(f"{path}: expected a SOFA file, this HDF5 file does not say that it is one")
    if found != _CONVENTION or _text(file.attrs.get("DataType")) != "FIR":
        kind = _text(file.attrs.get("DataType")) or "no data type"
        raise ValueError(
            f"{path}: expected the SOFA convention {_CONVENTION} with FIR data, this is {found} with {kind}"
        )


def _rate(path: Path, file: h5py.File) -> int:
    rates = np.unique(_numbers(path, file, "Data.SamplingRate"))
    if len(rates) != 1 or not 1000 <= rates[0] <= 1_000_000 or rates[0] != round(rates[0]):
        raise ValueError(f"{path}: Data.SamplingRate is one whole number of hertz, not {rates[:4].tolist()}")
    return int(rates[0])


def _sources(path: Path, file: h5py.File, count: int) -> Array:
    """Where the sources are, as the listener sees them: `(measurements, 3)` along x, y, z in metres."""
    place = _positions(path, file, "SourcePosition", count)
    if "ListenerPosition" in file:
        place = place - _positions(path, file, "ListenerPosition", count)
    if "ListenerView" in file and "ListenerUp" in file:
        kind = _text(file["ListenerView"].attrs.get("Type")) or "cartesian"
        front, up = (_positions(path, file, name, count, kind) for name in ("ListenerView", "ListenerUp"))
        left = np.cross(up, front)
        axes = np.stack([front, left, np.cross(front, left)], 1)
        length = np.linalg.norm(axes, axis=-1, keepdims=True)
        if not length.all():
            raise ValueError(f"{path}: ListenerView and ListenerUp point the same way or nowhere")
        place = np.einsum("mij,mj->mi", axes / length, place)
    if not np.linalg.norm(place, axis=-1).all():
        raise ValueError(f"{path}: a source stands in the middle of the head, and has no direction")
    return place


def _positions(path: Path, file: h5py.File, name: str, count: int, kind: str = "") -> Array:
    """A position of each measurement, `(measurements, 3)`, along x, y, z."""
    return _cartesian(path, file, name, _rows(path, file, name, count, 3), kind)


def _cartesian(path: Path, file: h5py.File, name: str, values: Array, kind: str = "") -> Array:
    """Positions `(..., 3)` along x, y, z, whatever type the file gives them in."""
    kind = kind or _text(file[name].attrs.get("Type")).lower()
    if kind == "cartesian":
        return values
    if kind != "spherical":
        raise ValueError(f"{path}: the type of {name} is spherical or cartesian, not {kind!r}")
    azimuth, elevation, distance = np.radians(values[..., 0]), np.radians(values[..., 1]), values[..., 2]
    level = np.cos(elevation)
    unit = np.stack([np.cos(azimuth) * level, np.sin(azimuth) * level, np.sin(elevation)], -1)
    return np.asarray(unit * distance[..., None])


def _delayed(path: Path, impulses: Array, delays: Array, rate: int) -> torch.Tensor:
    """Responses `(measurements, 2, samples)` with their delays, in samples, put back in front."""
    if not 0 <= delays.min() <= delays.max() <= _LATEST * rate:
        raise ValueError(
            f"{path}: Data.Delay is between 0 and {_LATEST * rate:.0f} samples, "
            f"this goes from {delays.min():g} to {delays.max():g}"
        )
    if not delays.any():
        return torch.from_numpy(impulses)
    longer = int(np.ceil(delays.max())) + 1
    taps = (impulses.shape[2] + longer) | 1
    return shifted(
        torch.from_numpy(np.pad(impulses, ((0, 0), (0, 0), (0, taps - impulses.shape[2])))), torch.from_numpy(delays)
    )


def _left_receiver(path: Path, file: h5py.File, impulses: Array, sources: Array) -> int:
    """Which receiver is the left ear: by its position, unless the sound itself says the other.

    A head shades its far ear; published files are known whose positions are exchanged and whose responses are not.
    """
    stated = _stated_left(path, file)
    side = sources[:, 1] / np.linalg.norm(sources, axis=-1)
    energy = (impulses**2).sum(-1).T
    same, other = (energy * np.stack([np.clip(sign * side, 0, 1), np.clip(-sign * side, 0, 1)]) for sign in (1, -1))
    louder = 10 * np.log10((same.sum() + 1e-30) / (other.sum() + 1e-30))
    heard = None if abs(louder) < _AUDIBLE else int(louder < 0)
    if heard is None and stated is None:
        raise ValueError(f"{path}: neither ReceiverPosition nor the responses tell the left ear from the right")
    if heard is not None and stated is not None and heard != stated:
        warnings.warn(
            f"{path}: ReceiverPosition exchanges the ears; sources at the sides are {abs(louder):.0f} dB louder in the "
            "near ear the other way round, and so they are read",
            stacklevel=4,
        )
    return int(stated if heard is None else heard)  # type: ignore[arg-type]


def _stated_left(path: Path, file: h5py.File) -> int | None:
    if "ReceiverPosition" not in file:
        return None
    values = _numbers(path, file, "ReceiverPosition")
    if values.shape[:2] != (2, 3):
        raise ValueError(f"{path}: ReceiverPosition has 2 receivers (two ears), this is {values.shape}")
    side = _cartesian(path, file, "ReceiverPosition", values.reshape(2, 3, -1)[..., 0])[:, 1]
    return None if abs(side[0] - side[1]) < 1e-4 else int(side[1] > side[0])


def _farthest(sources: Array) -> NDArray[np.intp]:
    """Measurements to keep, in order: of several distances in one direction the farthest; sources are far away here."""
    distance = np.linalg.norm(sources, axis=-1)
    _, group = np.unique(np.round(sources / distance[:, None], 3), axis=0, return_inverse=True)
    most = np.zeros(group.max() + 1)
    np.maximum.at(most, group.ravel(), distance)
    return np.flatnonzero(distance >= most[group.ravel()] * 0.999)


def _rows(path: Path, file: h5py.File, name: str, count: int, columns: int) -> Array:
    """A variable with a row a measurement, or one row for all: `(measurements, columns)`."""
    values = _numbers(path, file, name)
    if values.shape not in ((1, columns), (count, columns)):
        raise ValueError(f"{path}: {name} is (1 or {count}, {columns}), this is {values.shape}")
    return np.asarray(np.broadcast_to(values, (count, columns)))


def _numbers(path: Path, file: h5py.File, name: str) -> Array:
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu" or dataset.shape is None:
        raise ValueError(f"{path}: a SOFA file has numbers named {name}, this one has not")
    if dataset.size > _MOST:
        raise ValueError(f"{path}: {name} has {dataset.size} numbers, more than any set of head-related responses")
    values = np.asarray(dataset[()], np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: {name} is made of finite numbers, here are others")
    return values


def _text(value: Any) -> str:
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value or "").strip()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
