"""Synthetic datasets of scenes: sampled and rendered by index, with a manifest and ground truth per frame."""

from __future__ import annotations

import logging
import math
import os
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import soundfile
import torch
from numpy.typing import NDArray

from avssl.datasets.manifest import NAME, Row, write_manifest
from avssl.io.parquet_table import write_parquet
from avssl.media import write_audio, write_video
from avssl.media.video_writer import SLOWEST
from avssl.spatial.ambisonics import intensity_direction
from avssl.synth.dataset_base import SyntheticDataset, require
from avssl.synth.intact_files import is_intact
from avssl.synth.output_folder import MEDIA, TRUTH, output_folder
from avssl.synth.rendering import rendered
from avssl.synth.scene_format import Format

logger = logging.getLogger(__name__)

GOP = 8
"""Interval between key frames, frames; any time is decoded within milliseconds."""


@dataclass(frozen=True)
class SceneOptions:
    """Options of every synthetic dataset of scenes."""

    clips: int = 500
    """Number of scenes."""
    seconds: float = 4.0
    """Length of a scene in seconds, at least 0.25."""
    seed: int = 0
    """Random seed; scene i depends on it and on i alone."""
    frame_rate: float = 16.0
    """Video frames per second."""
    sample_rate: int = 24000
    """Audio sample rate in Hz, at least 16000."""
    test_share: float = 0.25
    """Share of the scenes in the split `test`, 0 to 1, spread evenly."""


class Keyed(Protocol):
    """The part that scenes of all data sets have in common."""

    @property
    def key(self) -> str:
        """Name of the scene in its data set."""
        ...

    def __hash__(self) -> int:
        """Scenes are keys of caches."""
        ...


SceneT = TypeVar("SceneT", bound=Keyed)
"""Type of the scenes of a dataset."""


class SceneDataset(SyntheticDataset, Generic[SceneT]):
    """Scenes by index: H.264 video, audio, a manifest, and ground truth for every frame and object.

    A larger data set of the same seed begins with the smaller one. Instances are pickled to the processes that render.

    Args:
        options: an instance of `Options`.
    """

    Options: ClassVar[type] = SceneOptions
    """Frozen dataclass with the fields of `SceneOptions`."""
    layout: ClassVar[str]
    """Channel layout of the audio in the manifest: ambix, binaural or stereo."""
    apart: bool = False
    """Whether the dry sources are written too, one channel each."""
    shared: bool = False
    """Whether the share of each source in the mono audio is written too, one channel each."""
    options: Any
    form: Format
    """Length, frame size and rates; a subclass sets it from its options."""

    @abstractmethod
    def describe(self, index: int) -> SceneT:
        """Sample scene number `index`: a pure function of it and of the seed."""

    @abstractmethod
    def audio(self, scene: SceneT) -> NDArray[np.float32]:
        """Render the audio, float32 `(channels, samples)`."""

    @abstractmethod
    def frames(self, scene: SceneT) -> Iterator[NDArray[np.uint8]]:
        """Render the frames, uint8 RGB `(height, width, 3)` each."""

    @abstractmethod
    def truth(self, scene: SceneT) -> pa.Table:
        """Ground truth: one row for each frame and object, frames first."""

    def sources(self, scene: SceneT) -> NDArray[np.float32]:
        """Dry source signals, before spatialization: float32 `(sources, samples)`."""
        raise NotImplementedError(f"{self.name} does not keep its sources apart")

    def shares(self, scene: SceneT) -> NDArray[np.float32]:
        """Share of each source in the mean of left and right, which is their sum: float32 `(sources, samples)`."""
        raise NotImplementedError(f"{self.name} does not keep shares apart")

    def stems(self, scene: SceneT) -> dict[int, NDArray[np.float32]]:
        """Each sounding object alone, at its level in `audio`: its number in the truth -> `(channels, samples)`."""
        raise NotImplementedError(f"{self.name} does not render objects alone")

    def gains(self, scene: SceneT, times: NDArray[np.float64]) -> dict[int, NDArray[np.float64]]:
        """Gains of every object's direct sound in the ambisonic channels after W, relative to W.

        Args:
            scene: see `describe`.
            times: seconds, `(times,)`.

        Returns:
            Number of the object in the truth, silent ones too -> `(channels - 1, times)`.
        """
        raise NotImplementedError(f"{self.name} has no ambisonic gains")

    def read_inputs(self, out: Path) -> None:
        """Read the files that the options name, before options are checked and anything is written.

        Args:
            out: folder that the data set is rendered into.
        """

    def prepare(self, out: Path, progress: bool) -> None:
        """Compute what all scenes share, before the first is rendered.

        Args:
            out: folder of the data set.
            progress: show a progress bar.
        """

    def direction(self, audio: NDArray[np.float32], sample_rate: int) -> tuple[float, float, float]:
        """Direction of the active intensity: azimuth, elevation (degrees) and diffuseness; nan unless ambiX."""
        if self.layout != "ambix":
            return math.nan, math.nan, math.nan
        azimuth, elevation, diffuseness = intensity_direction(torch.from_numpy(audio[:4]), sample_rate)
        return math.degrees(azimuth), math.degrees(elevation), float(diffuseness)

    def settings(self) -> dict[str, object]:
        """Everything that the scenes depend on; files by their contents."""
        return {"world": self.name, "version": self.version, "seed": self.options.seed} | asdict(self.form)

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Constraints on the options of every data set of scenes."""
        form, options = self.form, self.options
        yield options.clips >= 1, f"clips is at least 1, not {options.clips}"
        yield 0.25 <= form.seconds < math.inf, f"seconds is at least 0.25, not {form.seconds}"
        yield options.seed >= 0, f"seed is not negative, this is {options.seed}"
        yield SLOWEST <= form.frame_rate < math.inf, f"frame_rate is at least {SLOWEST}, not {form.frame_rate}"
        yield form.sample_rate >= 16000, f"sample_rate is at least 16000 Hz, not {form.sample_rate}"
        yield 0 <= options.test_share <= 1, f"test_share lies in 0..1, not {options.test_share}"

    def render(self, out: Path, *, workers: int | None = None, progress: bool = True) -> Path:
        """Render all scenes and write the manifest; see `SyntheticDataset.render`."""
        self.read_inputs(out)
        for failure in self.failures:
            logger.warning("left out: %s", failure)
        require(self.name, self.constraints())
        require(self.name, [(workers is None or workers >= 1, f"workers is at least 1, not {workers}")])
        with output_folder(out, self.name, self.settings()):
            self.prepare(out, progress)
            jobs = [Job(out, self, index) for index in range(self.options.clips)]
            found = rendered(render_scene, jobs, workers, progress, folders=[out / MEDIA])
            _write_tables(out, found, self.options.test_share)
        return out / NAME


def sources_path(audio: Path) -> Path:
    """File of the dry sources of a scene, beside its audio; of datasets that write them, see `SceneDataset.apart`."""
    return audio.with_name(f"{audio.stem}-sources.wav")


def shares_path(audio: Path) -> Path:
    """File of the shares of a scene's sources, beside its audio; see `SceneDataset.shared`."""
    return audio.with_name(f"{audio.stem}-shares.wav")


@dataclass(frozen=True)
class Job:
    """One scene to render."""

    out: Path
    world: SceneDataset[Any]
    index: int

    def __str__(self) -> str:
        return f"{self.out}: scene {self.index}"

    @property
    def video(self) -> str:
        """Video file, relative to the folder."""
        return f"{MEDIA}/{self.index:05d}.mp4"

    @property
    def audio(self) -> str:
        """Its sound, relative to the folder."""
        return f"{MEDIA}/{self.index:05d}.wav"

    @property
    def sources(self) -> str:
        """Its sources one by one, relative to the folder."""
        return sources_path(Path(self.audio)).as_posix()


Result = tuple[dict[str, object], pa.Table]


def render_scene(job: Job) -> Result:
    """Write a scene's files where they are missing or broken.

    Returns:
        Its row of the manifest, without the split, and its truth.
    """
    world, scene = job.world, job.world.describe(job.index)
    if not is_intact(job.out / job.audio):
        write_audio(job.out / job.audio, world.audio(scene), world.form.sample_rate)
    if world.apart and not is_intact(job.out / job.sources):
        write_audio(job.out / job.sources, world.sources(scene), world.form.sample_rate)
    shares = shares_path(job.out / job.audio)
    if world.shared and not is_intact(shares):
        write_audio(shares, world.shares(scene), world.form.sample_rate)
    if not is_intact(job.out / job.video):
        write_video(job.out / job.video, world.frames(scene), world.form.frame_rate, gop=GOP)
    return _row(job, scene.key), world.truth(scene)


def _write_tables(out: Path, results: list[Result], test_share: float) -> None:
    """Write the ground truth and the manifest of all scenes."""
    rows, tables = zip(*results, strict=True)
    write_parquet(out / TRUTH, pa.concat_tables(tables))
    splits = ["test" if is_test(index, test_share) else "train" for index in range(len(rows))]
    write_manifest(out / NAME, [Row(**(row | {"split": split})) for row, split in zip(rows, splits, strict=True)])


def _row(job: Job, key: str) -> dict[str, object]:
    world, lens = job.world, job.world.form.lens()
    audio, rate = soundfile.read(os.fsencode(job.out / job.audio), dtype="float32", always_2d=True)
    azimuth, elevation, diffuseness = world.direction(audio.T.copy(), rate)
    return {
        "key": key,
        "video": job.video,
        "audio": job.audio,
        "start": 0.0,
        "seconds": len(audio) / rate,
        "frame_rate": world.form.frame_rate,
        "width": lens.width,
        "height": lens.height,
        "sample_rate": rate,
        "layout": world.layout,
        "silent_channels": "",
        "azimuth": azimuth,
        "elevation": elevation,
        "diffuseness": diffuseness,
        "source": f"{world.name}-{world.options.seed}-{key}",
    }


def is_test(index: int, share: float) -> bool:
    """Whether a scene is one of the split test.

    Spreads the share evenly: of every 1/share scenes, the last is a test scene.
    """
    return math.floor((index + 1) * share + 1e-9) > math.floor(index * share + 1e-9)
