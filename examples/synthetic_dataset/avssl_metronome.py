"""Example of a third-party synthetic dataset: a clicking disc that circles a 360-degree camera."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from avssl.spatial.ambisonics import encode
from avssl.synth.render_dataset import SceneDataset, SceneOptions
from avssl.synth.scene import Format


@dataclass(frozen=True)
class MetronomeOptions(SceneOptions):
    """Fields of `SceneOptions` (clips, seconds, seed, ...) and these; each is a flag of `avssl synth metronome`."""

    width: int = 128
    """Columns of a frame, a multiple of 4; rows are half as many."""
    beats: float = 2.0
    """Clicks per second."""


@dataclass(frozen=True)
class Circle:
    """One scene: a disc on the horizon, at constant angular velocity."""

    key: str
    azimuth: float
    """Radians at time 0, counter-clockwise from the front."""
    velocity: float
    """Radians per second."""

    def at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Azimuth at some times in seconds, within -pi and pi."""
        return (self.azimuth + self.velocity * times + np.pi) % (2 * np.pi) - np.pi


class Metronome(SceneDataset[Circle]):
    """A clicking disc that circles a 360-degree camera: equirectangular video and first-order ambisonic audio."""

    name = "metronome"
    version = 1
    layout = "ambix"
    Options = MetronomeOptions
    options: MetronomeOptions

    def __init__(self, options: MetronomeOptions) -> None:
        super().__init__(options)
        self.form = Format(options.seconds, options.width, options.frame_rate, options.sample_rate)

    def describe(self, index: int) -> Circle:
        """Scene by index, a pure function of seed and index."""
        rng = np.random.default_rng((self.options.seed, index))
        return Circle(f"{index:05d}", float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(-0.5, 0.5)))

    def audio(self, scene: Circle) -> NDArray[np.float32]:
        """Clicks of 1 kHz, float32 `(4, samples)`, ambiX."""
        times = self.form.sample_times()
        clicks = 0.3 * np.sin(2 * np.pi * 1000 * times) * np.exp(-40 * (times % (1 / self.options.beats)))
        azimuth = torch.from_numpy(scene.at(times))
        return encode(torch.from_numpy(clicks), azimuth, torch.zeros_like(azimuth)).float().numpy()

    def frames(self, scene: Circle) -> Iterator[NDArray[np.uint8]]:
        """A white disc on grey, uint8 `(width / 2, width, 3)`."""
        width = self.options.width
        azimuths = np.pi - 2 * np.pi * (np.arange(width) + 0.5) / width
        elevations = np.pi / 2 - np.pi * (np.arange(width // 2) + 0.5) / (width // 2)
        for azimuth in scene.at(self.form.frame_times()):
            near = np.cos(elevations)[:, None] * np.cos(azimuths - azimuth) > np.cos(0.2)
            yield np.repeat(np.where(near, 255, 60).astype(np.uint8)[..., None], 3, axis=2)

    def truth(self, scene: Circle) -> pa.Table:
        """Direction of the disc, one row a frame."""
        azimuths = np.degrees(scene.at(self.form.frame_times()))
        rows = range(len(azimuths))
        return pa.table({"key": [scene.key for _ in rows], "frame": list(rows), "azimuth": azimuths})

    def settings(self) -> dict[str, object]:
        """Everything that the scenes depend on."""
        return super().settings() | {"beats": self.options.beats}

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Constraints on the options."""
        yield from super().constraints()
        yield self.options.width % 4 == 0, f"width is a multiple of 4, not {self.options.width}"
        yield self.options.beats > 0, f"beats is above 0, not {self.options.beats}"
