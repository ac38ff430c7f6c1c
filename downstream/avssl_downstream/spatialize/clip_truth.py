"""Ground truth of a clip of a synthetic dataset: its sources one by one, where they are, and what is seen of them."""

# N objects of a scene, K of them sound; C channels, O generated channels, S samples, T times

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.datasets.manifest import Row
from avssl.detection.object_index import MAX_ROWS
from avssl.errors import InputError
from avssl.io.parquet_table import ParquetTable
from avssl.spatial.resample import resample
from avssl.synth.output_folder import TRUTH
from avssl.synth.render_dataset import SceneDataset
from avssl.synth.stored_dataset import stored_dataset
from avssl_downstream.spatialize.generator import Generator

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("time", pa.float64()),
        ("object", pa.int64()),
        ("kind", pa.string()),
        ("visible", pa.float64()),
    ]
)


LEAST_GAIN = 1e-6
"""Squared gains below which a source has no place."""


class ClipTruth:
    """Ground truth of one clip.

    Args:
        world: synthetic dataset of the clip.
        row: of the clip.
        objects: columns of `SCHEMA` of this clip, without `key`.
        generator: gives sample rate and generated channels.
    """

    def __init__(
        self, world: SceneDataset[Any], row: Row, objects: dict[str, NDArray[Any]], generator: Generator
    ) -> None:
        self._world, self._scene, self._start = world, world.describe(int(row.key)), row.start
        self._kept, self.sample_rate = generator.input_channels, generator.sample_rate
        self._samples = round(row.seconds * generator.sample_rate)
        stems = world.stems(self._scene)
        self.numbers = sorted(set(objects["object"].tolist()))
        """Numbers of the N objects."""
        self.sounding = [self.numbers.index(number) for number in stems]
        """Positions among them of the K objects that sound."""
        self.stems = torch.stack([self._cut(each) for each in stems.values()])
        """Audio of each object that sounds, its share of the room included, `(K, C, S)`."""
        self.sources = self._along_places() if generator.output != "binaural" else self.stems.mean(1)
        """Audio of each object that sounds as from its own place, `(K, S)`: the first-order part of its stem along its
        gains, which is the direct sound and little of the room; of binaural audio, the mean of both ears."""
        table = {number: objects["object"] == number for number in self.numbers}
        self.kinds = [str(objects["kind"][rows][0]) for rows in table.values()]
        """Kind of each object."""
        self._times = objects["time"][table[self.numbers[0]]]
        self._visible = np.stack([objects["visible"][rows] > 0 for rows in table.values()])

    def seen(self, times: NDArray[np.float64]) -> Tensor:
        """Whether any of each object is seen in the frame shown at some times of the clip, `(N, T)` bool."""
        frame = np.searchsorted(self._times, times + self._start + 1e-6, side="right") - 1
        return torch.from_numpy(self._visible[:, np.clip(frame, 0, len(self._times) - 1)])

    def gains(self, times: NDArray[np.float64]) -> Tensor:
        """Gains of each object's direct sound in the generated ambisonic channels, relative to W: `(N, O, T)`."""
        return self._all_gains(times)[:, self._kept - 1 :]

    def _all_gains(self, times: NDArray[np.float64]) -> Tensor:
        """Gains in all channels after W, `(N, C - 1, T)`."""
        found = self._world.gains(self._scene, np.maximum(times, 0) + self._start)
        return torch.from_numpy(np.stack([found[number] for number in self.numbers]).astype(np.float32))

    def _along_places(self) -> Tensor:
        times = np.arange(self._samples) / self.sample_rate
        gains = self._all_gains(times)[self.sounding, :3]
        return (gains * self.stems[:, 1:4]).sum(1) / gains.square().sum(1).clamp(min=LEAST_GAIN)

    def _cut(self, stem: NDArray[np.float32]) -> Tensor:
        """A stem at the generator's sample rate, `(C, S)`."""
        rate = self._world.form.sample_rate
        audio = resample(torch.from_numpy(np.ascontiguousarray(stem)), rate, self.sample_rate)
        first = round(self._start * self.sample_rate)
        cut = audio[:, first : first + self._samples]
        return torch.nn.functional.pad(cut, (0, self._samples - cut.shape[1]))


class DatasetTruth:
    """Ground truth of the clips of a synthetic dataset, rendered again as it is needed.

    Args:
        folder: of the manifest.
        generator: gives sample rate and channels.

    Raises:
        InputError: recordings, or scenes whose sources cannot be rendered again, see `stored_dataset`.
    """

    def __init__(self, folder: Path, generator: Generator) -> None:
        self.world, self.generator = stored_dataset(folder), generator
        expected = "the ground truth of a synthetic dataset"
        table = ParquetTable(folder / TRUTH, SCHEMA, expected, MAX_ROWS).read()
        self._columns = {name: np.array(table[name].to_pylist()) for name in SCHEMA.names}
        self._rows: defaultdict[str, list[int]] = defaultdict(list)
        for index, key in enumerate(self._columns["key"].tolist()):
            self._rows[key].append(index)

    def of(self, row: Row, target: Tensor) -> ClipTruth:
        """Ground truth of a clip.

        Args:
            row: of the clip.
            target: its audio `(C, S)`, which the sources have to be those of.

        Raises:
            InputError: no ground truth of this clip, or its sources are not those of the file.
        """
        if row.key not in self._rows or not row.key.isdecimal():
            raise InputError(f"{row.key}: expected ground truth of this clip, got none; render the dataset again")
        rows = self._rows[row.key]
        truth = ClipTruth(self.world, row, {name: self._columns[name][rows] for name in SCHEMA.names}, self.generator)
        explained = (truth.stems.sum(0) * target).sum() / target.square().sum().clamp(min=1e-12)
        if truth.stems.shape[1:] != target.shape or explained < 0.5:
            raise InputError(f"{row.key}: expected the audio of its scene, got other audio; render the dataset again")
        return truth
