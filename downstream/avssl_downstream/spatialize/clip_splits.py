"""Splits of the clips of a manifest by a file of one's own, such as partitions by video."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.regular_files import check_regular

COLUMNS = ["key", "split"]
"""Columns of the file."""


def read_split_manifest(manifest: str, splits: str) -> Manifest:
    """Clips of a manifest; with a file of splits those that it names, in the splits that it gives them.

    Raises:
        InputError: an invalid manifest, a file of other columns, or clips that the manifest has not.
    """
    whole = read_manifest(manifest)
    if not splits:
        return whole
    split = _read(Path(splits))
    if unknown := sorted(split.keys() - {row.key for row in whole}):
        raise InputError(f"{splits}: expected clips of {whole.root}, got {unknown[0]!r} ({len(unknown)} unknown)")
    return replace(whole, rows=tuple(replace(row, split=split[row.key]) for row in whole if row.key in split))


def _read(path: Path) -> dict[str, str]:
    check_regular(path, "a file of splits")
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        if (heading := next(lines, [])) != COLUMNS:
            raise InputError(f"{path}: expected a CSV file with the columns key,split, got {','.join(heading)!r}")
        found = {}
        for number, line in enumerate(lines, 2):
            if len(line) != len(COLUMNS) or not all(line):
                raise InputError(f"{path}: expected key,split, got {','.join(line)!r} (line {number})")
            found[line[0]] = line[1]
    return found
