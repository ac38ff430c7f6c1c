"""Groups of the scenes of a synthetic dataset: by type, by number of sources, with sources behind the viewer."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from avssl.detection.object_index import MAX_ROWS
from avssl.errors import InputError
from avssl.io.parquet_table import ParquetTable
from avssl.synth.output_folder import TRUTH
from avssl_downstream.spatialize.evaluation_rows import MODEL
from avssl_downstream.spatialize.metrics import EXPLAINED, Metrics, clip_means

logger = logging.getLogger(__name__)

SCHEMA = pa.schema(
    [("key", pa.string()), ("object", pa.int64()), ("sounding", pa.bool_()), ("azimuth", pa.float64())],
)
TYPES = pa.schema([("key", pa.string()), ("type", pa.string())])
TRAINED = "trained_types"
"""Group of the scenes of types that the training clips have."""
BEHIND = "behind"
"""Group of the scenes in which a source is behind the viewer from beginning to end."""
FRONT = "front"
"""Group of the scenes in which no source is behind the viewer at any time."""
EXPECTED = "the ground truth of a synthetic dataset"

ROWS = (MODEL, "silence", "prior", "audio_only", "flipped", "seen", "observer", "best_real")
"""Rows of an evaluation that are evaluated by group."""
SHOWN = (EXPLAINED, f"{EXPLAINED}_low", f"{EXPLAINED}_high", "stft", "direction_error")
"""Metrics of a group."""

Groups = dict[str, frozenset[str]]
"""Name -> keys of its scenes."""


def scene_groups(folder: Path, trained: Iterable[str], panoramic: bool) -> Groups:
    """Groups of the scenes of a dataset; none of recordings.

    Args:
        folder: of the manifest.
        trained: keys of the training clips.
        panoramic: frames show all directions: nothing is behind the viewer.

    Returns:
        Each type (`P1`), `trained_types`, numbers of sources (`one_source`, `two_sources`, ..., `at_most_two`),
        `behind`, `front`.

    Raises:
        InputError: a broken file.
    """
    if not (folder / TRUTH).is_file():
        return {}
    names = ParquetTable(folder / TRUTH, SCHEMA, EXPECTED, MAX_ROWS).names()
    if not set(SCHEMA.names) <= set(names):
        return {}
    types = _types(folder, trained) if "type" in names else {}
    return types | _by_sources(folder, panoramic)


def read_groups(folder: Path, trained: Iterable[str], panoramic: bool) -> Groups:
    """As `scene_groups`; none of a broken file, which is the reason for absent oracles in the table, too."""
    try:
        return scene_groups(folder, trained, panoramic)
    except InputError as error:
        logger.info("no groups of scenes: %s", error)
        return {}


def group_metrics(
    clips: Mapping[str, Sequence[Metrics]], keys: Sequence[str], recordings: Sequence[str], groups: Groups
) -> Metrics:
    """Metrics over each group of scenes that are some of the evaluated ones but not all: `test_P1_explained`, ...

    Args:
        clips: row of an evaluation -> metrics of each clip.
        keys: of the clips.
        recordings: of the clips.
        groups: see `scene_groups`.

    Returns:
        By row, group and metric; and `P1_clips`, the number of clips of each group.
    """
    found: Metrics = {}
    for group, members in groups_apart(groups, keys).items():
        kept = [index for index, key in enumerate(keys) if key in members]
        found[f"{group}_clips"] = float(len(kept))
        for row in (each for each in ROWS if each in clips):
            means = clip_means([clips[row][index] for index in kept], [recordings[index] for index in kept])
            found |= {f"{row}_{group}_{name}": means[name] for name in SHOWN if name in means}
    return found


def groups_apart(groups: Groups, keys: Iterable[str]) -> Groups:
    """The groups that hold some of these scenes but not all, each set of scenes once."""
    evaluated, found = frozenset(keys), dict[frozenset[str], str]()
    for name, each in groups.items():
        if (part := each & evaluated) and part != evaluated:
            found.setdefault(part, name)
    return {name: part for part, name in found.items()}


def _types(folder: Path, trained: Iterable[str]) -> Groups:
    table = ParquetTable(folder / TRUTH, TYPES, EXPECTED, MAX_ROWS).read()
    type_of = dict(zip(table["key"].to_pylist(), table["type"].to_pylist(), strict=True))
    known = {type_of[key] for key in trained if key in type_of}
    found = {name: frozenset(key for key, each in type_of.items() if each == name) for name in set(type_of.values())}
    whole = frozenset(key for key, each in type_of.items() if each in known)
    return {name: found[name] for name in sorted(found)} | ({TRAINED: whole} if known else {})


def _by_sources(folder: Path, panoramic: bool) -> Groups:
    table = ParquetTable(folder / TRUTH, SCHEMA, EXPECTED, MAX_ROWS).read()
    table = table.set_column(3, "azimuth", pc.abs(table["azimuth"]))
    objects = table.group_by(["key", "object"]).aggregate([("sounding", "max"), ("azimuth", "min"), ("azimuth", "max")])
    objects = objects.filter(objects["sounding_max"])
    keys = objects["key"].to_pylist()
    counts = Counter(keys)
    found = {
        name: frozenset(key for key, each in counts.items() if each == count)
        for count, name in enumerate(("one_source", "two_sources", "three_sources"), 1)
    }
    found["at_most_two_sources"] = found["one_source"] | found["two_sources"]
    if panoramic:
        return found
    behind = frozenset(objects.filter(pc.greater(objects["azimuth_min"], 90))["key"].to_pylist())
    beyond = frozenset(objects.filter(pc.greater(objects["azimuth_max"], 90))["key"].to_pylist())
    return found | {BEHIND: behind, FRONT: frozenset(counts) - beyond}
