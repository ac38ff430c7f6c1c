"""Validated access to SOFA files (AES69, HDF5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avssl.errors import InputError
from avssl.io.hdf5_file import find_variable

Array = NDArray[np.float64]

MAX_VALUES = 40_000_000
"""Maximum values per variable; five times the largest published HRIR set."""


class SofaFile:
    """An open SOFA file; every error names its path and the variable.

    Args:
        path: of the file, for the errors.
        file: open `h5py.File`.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self.path = path
        self._file = file

    def __contains__(self, name: str) -> bool:
        return self._file.get(name, getlink=True) is not None

    def text(self, attribute: str, variable: str = "") -> str:
        """An attribute of the file or of a variable; "" where it is missing."""
        holder = find_variable(self.path, self._file, variable, MAX_VALUES) if variable else self._file
        value: Any = None if holder is None else holder.attrs.get(attribute)
        value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
        return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value or "").strip()

    def numbers(self, name: str) -> Array:
        """A variable, of any shape.

        Raises:
            InputError: missing, in another file, not numeric, too large, or not finite.
        """
        variable = find_variable(self.path, self._file, name, MAX_VALUES)
        if variable is None or variable.dtype.kind not in "fiu" or variable.shape is None:
            raise InputError(f"{self.path}: a SOFA file has numbers named {name}, this one has not")
        values = np.asarray(variable[()], np.float64)
        if not np.isfinite(values).all():
            raise InputError(f"{self.path}: {name} contains NaN or Inf")
        return values

    def rows(self, name: str, count: int, columns: int) -> Array:
        """A variable with one row per measurement, or one row broadcast to all: `(count, columns)`.

        Raises:
            InputError: another shape, or as `numbers`.
        """
        values = self.numbers(name)
        if values.shape not in ((1, columns), (count, columns)):
            raise InputError(f"{self.path}: {name} is (1 or {count}, {columns}), this is {values.shape}")
        return np.array(np.broadcast_to(values, (count, columns)))

    def positions(self, name: str, count: int, kind: str = "") -> Array:
        """Position per measurement, `(count, 3)`, along x, y, z.

        Raises:
            InputError: another type than spherical or cartesian, or as `rows`.
        """
        return self.cartesian(name, self.rows(name, count, 3), kind)

    def cartesian(self, name: str, values: Array, kind: str = "") -> Array:
        """Positions `(..., 3)` converted to x, y, z; `kind` applies if the variable has no type."""
        kind = self.text("Type", name).lower() or kind
        if kind == "cartesian":
            return values
        if kind != "spherical":
            raise InputError(f"{self.path}: the type of {name} is spherical or cartesian, not {kind!r}")
        azimuth, elevation, distance = np.radians(values[..., 0]), np.radians(values[..., 1]), values[..., 2]
        level = np.cos(elevation)
        unit = np.stack([np.cos(azimuth) * level, np.sin(azimuth) * level, np.sin(elevation)], -1)
        return np.asarray(unit * distance[..., None])
