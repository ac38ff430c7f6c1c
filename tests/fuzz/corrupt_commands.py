"""The commands that read media, each with what a damaged file among good ones must not do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import pyarrow.parquet as pq
from folders import difference, digest, left_beside
from forked import SECONDS, Ended, run
from small_media import AUDIO, IMAGES, suffix

GOOD = ("h264-aac.mp4", "h264-flac.mkv")
"""Kinds of the good files beside damaged ones."""
Faults = tuple[dict[int, str], bool]


class Case(Protocol):
    """A damaged file: its number, its kind, its bytes."""

    number: int
    kind: str
    data: bytes


class Command:
    """A command that reads media.

    Args:
        place: folder with `samples`, see `small_media`; a command may add what it needs.
    """

    name = ""
    batched = takes_audio = takes_images = False
    ended: Ended
    """The command that ran last."""

    def __init__(self, place: Path) -> None:
        self.place, self.samples = place, place / "samples"

    def attempt(self, cases: Sequence[Case], place: Path) -> Faults:
        """Faults by number of the case, and whether the command as a whole did well."""
        raise NotImplementedError

    def run(self, place: Path, *arguments: object, files: int = 1) -> str:
        """Run in a folder, with an empty cache; returns the fault."""
        self.ended = run(
            arguments, place, environment={"AVSSL_CACHE": str(place / "cache")}, seconds=SECONDS + 2 * (files - 1)
        )
        return self.ended.fault()


class Prepare(Command):
    """`avssl prepare` of a folder."""

    name = "prepare"
    batched = takes_audio = takes_images = True

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.right: dict[bool, dict[str, str]] = {}
        """Digest of the good files' proxies, without damaged files beside; by whether images are prepared."""

    def attempt(self, cases: Sequence[Case], place: Path, images: bool | None = None) -> Faults:
        if images is None:
            images = any(each.kind == IMAGES for each in cases)
            self._find_right(images)
        names = (self._write_images if images else self._write)(cases, place / "in")
        before = digest(place / "in")
        layout = ("rec-street", "--projection", "equirect") if images else ("files",)
        fault = self.run(
            place, "-q", "prepare", place / "in", place / "out", "--layout", *layout, "--workers", 1, "--height", 64,
            files=len(cases) + 2,
        )  # fmt: skip
        fault = fault or left_beside(
            place / "out", ("manifest.parquet", "failed.parquet", "report.json", "prepared.jsonl", "media")
        )
        fault = fault or difference(before, digest(place / "in"))
        if fault:
            return {each.number: fault for each in cases} or {-1: fault}, False
        return self._judged(cases, names, place / "out", images)

    def _find_right(self, images: bool) -> None:
        if images not in self.right:
            trial = self.place / f"right-{images}"
            trial.mkdir()
            assert self.attempt([], trial, images) == ({}, True), self.ended.text
            self.right[images] = digest(trial / "out" / "media")

    def _judged(self, cases: Sequence[Case], names: dict[int, str], out: Path, images: bool) -> Faults:
        rows = {row["key"]: row for row in pq.read_table(out / "manifest.parquet").to_pylist()}
        failed = {row["key"]: row["reason"] for row in pq.read_table(out / "failed.parquet").to_pylist()}
        faults = {each.number: self._fault(names[each.number], rows, failed, out) for each in cases}
        if images in self.right:
            media = digest(out / "media")
            good = difference(self.right[images], {name: media[name] for name in self.right[images] if name in media})
            if good:
                return dict.fromkeys(faults, f"good files beside: {good}"), False
        return faults, True

    def _fault(self, key: str, rows: dict, failed: dict, out: Path) -> str:
        if (key in rows) == (key in failed):
            return f"{key}: {'in both' if key in rows else 'neither'} of manifest and failures"
        if key in failed:
            reason = failed[key]
            return "" if reason and "\n" not in reason else f"reason of the failure is not one line: {reason!r}"
        return _row_fault(rows[key], out)

    def _write(self, cases: Sequence[Case], folder: Path) -> dict[int, str]:
        folder.mkdir()
        for kind in GOOD:
            shutil.copy(self.samples / kind, folder / f"good-{kind}")
        for each in cases:
            (folder / f"{each.number}{suffix(each.kind)}").write_bytes(each.data)
            if each.kind in AUDIO:
                shutil.copy(self.samples / "mute.mp4", folder / f"{each.number}.mp4")
        return {each.number: str(each.number) for each in cases}

    def _write_images(self, cases: Sequence[Case], folder: Path) -> dict[int, str]:
        for name, data in {"good": None, **{str(each.number): each.data for each in cases}}.items():
            (folder / name / "ambix").mkdir(parents=True)
            shutil.copy(self.samples / "pcm.wav", folder / name / "ambix" / "000001.wav")
            shutil.copytree(self.samples / IMAGES, folder / name / "video")
            if data is not None:
                (folder / name / "video" / "000000.png").write_bytes(data)
        return {each.number: str(each.number) for each in cases}


def _row_fault(row: dict, out: Path) -> str:
    """What is wrong with the proxies of a row."""
    with av.open(str(out / row["audio"])) as file:
        samples = sum(frame.samples for frame in file.decode(audio=0))
    if abs(samples / row["sample_rate"] - row["seconds"]) > 0.01:
        return f"{samples} samples, the row says {row['seconds']} s"
    with av.open(str(out / row["video"])) as file:
        frames = sum(1 for _ in file.decode(video=0))
    return (
        "" if abs(frames / row["frame_rate"] - row["seconds"]) <= 1 / row["frame_rate"] + 0.01 else f"{frames} frames"
    )


class Embed(Command):
    """`avssl embed` of a folder."""

    name = "embed"
    batched = takes_audio = True

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        write_encoders(place / "encoders")
        trial = place / "right-embed"
        trial.mkdir()
        self.right: dict = {}
        assert self.attempt([], trial) == ({}, True), self.ended.text
        self.right = _embeddings(trial / "out" / "e.parquet")
        assert len(self.right) == 2 * len(GOOD)

    def attempt(self, cases: Sequence[Case], place: Path) -> Faults:
        (place / "in").mkdir()
        (place / "out").mkdir()
        for kind in GOOD:
            shutil.copy(self.samples / kind, place / "in" / f"good-{kind}")
        names = {each.number: f"{each.number}-{each.kind}" for each in cases}
        for each in cases:
            (place / "in" / names[each.number]).write_bytes(each.data)
        out = place / "out" / "e.parquet"
        fault = self.run(
            place, "-q", "embed", place / "in", out, "--encoders", self.place / "encoders", "--workers", 1,
            "--precision", "32-true", files=len(cases) + 2,
        )  # fmt: skip
        fault = fault or left_beside(place / "out", ("e.parquet",))
        if fault:
            return {each.number: fault for each in cases} or {-1: fault}, False
        found = _embeddings(out)
        if any(key not in found or not np.allclose(found[key], value, 1e-3, 1e-4) for key, value in self.right.items()):
            return dict.fromkeys(names, "embeddings of the good files beside differ") or {-1: "differ"}, False
        return {number: self._fault(name, found) for number, name in names.items()}, True

    def _fault(self, name: str, found: dict) -> str:
        lines = [line for line in self.ended.text.splitlines() if f"{name}: " in line]
        rows = [value for key, value in found.items() if key[0] == name]
        if not rows and len(lines) != 1:
            return f"{name}: neither embedded nor named once: {lines}"
        return "" if all(np.isfinite(row).all() for row in rows) else f"{name}: embeddings are not finite"


def _embeddings(path: Path) -> dict[tuple[str, float, str], np.ndarray]:
    columns = ("file", "start", "tower")
    return {tuple(row[name] for name in columns): np.array(row["embedding"]) for row in pq.read_table(path).to_pylist()}


class OneFile(Command):
    """A command that makes a film of one file."""

    allowed = ("made.mp4",)

    def attempt(self, cases: Sequence[Case], place: Path) -> Faults:
        (case,) = cases
        (place / "in").mkdir()
        (place / "out").mkdir()
        path = place / "in" / f"{case.number}{suffix(case.kind)}"
        path.write_bytes(case.data)
        return {case.number: self.fault(case.kind, path, place)}, True

    def fault(self, kind: str, path: Path, place: Path) -> str:
        """Make the film; returns what is wrong."""
        made = place / "out" / "made.mp4"
        fault = self.run(place, "-q", *self.arguments(kind, path, made)) or left_beside(place / "out", self.allowed)
        if fault or self.ended.code not in (0, 2):
            return fault or f"exit code {self.ended.code}"
        if made.exists() != (self.ended.code == 0):
            return f"exit code {self.ended.code}, and the output {'exists' if made.exists() else 'does not'}"
        if self.ended.code == 2:
            return "" if path.name in self.ended.text else f"the file is not named: {self.ended.text!r}"
        empty = [stream for stream in ("video", "audio") if not _count(made, stream)]
        return f"output without {' and '.join(empty)}" if empty else ""

    def arguments(self, kind: str, path: Path, made: Path) -> tuple[object, ...]:
        """Command line that makes a film of a damaged file."""
        raise NotImplementedError


def _count(path: Path, stream: str) -> int:
    """Number of frames, or of audio frames."""
    with av.open(str(path)) as file:
        return sum(_decoded(packet) for packet in file.demux(**{stream: 0}))


def _decoded(packet: av.Packet) -> int:
    """Frames of a packet; 0 of one that the damaged file had already: packets of video are copied."""
    try:
        return len(packet.decode())
    except av.error.InvalidDataError:
        return 0


class Energy(OneFile):
    """`avssl energy-overlay` of a film, or of a good film with damaged sound beside it."""

    name = "energy"
    takes_audio = True

    def arguments(self, kind: str, path: Path, made: Path) -> tuple[object, ...]:
        source = (self.samples / "mute.mp4", made, "--audio", path) if kind in AUDIO else (path, made)
        return "energy-overlay", *source, "--height", 64


class Spatialize(OneFile):
    """`avssl downstream spatialize --input` of a film, with a head fitted in two steps."""

    name = "spatialize"

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        write_head(place)

    def arguments(self, kind: str, path: Path, made: Path) -> tuple[object, ...]:
        head = self.place / "head"
        return "downstream", "spatialize", "--head", head, "--input", path, "--output", made, "--set", "mix=first"


COMMANDS: dict[str, Callable[[Path], Command]] = {each.name: each for each in (Prepare, Embed, Energy, Spatialize)}


def write_encoders(folder: Path) -> None:
    """Small encoders with random weights."""
    import torch

    from avssl.config import FeatureConfig, ModelConfig
    from avssl.models.encoder_factory import build_encoders
    from avssl.models.geometry import InputGeometry

    torch.manual_seed(0)
    encoders = build_encoders(ModelConfig(), FeatureConfig(mels=64))
    encoders.geometry = InputGeometry(0.5, 1, 10.0, 64, 90.0, 100.0)
    encoders.save(folder)


HEAD_SETTINGS = (
    "generator_options.stft_frames=32", "generator_options.output_seconds=0.2", "generator_options.n_fft=512",
    "generator_options.bands=16", "generator_options.tracks=4", "generator_options.units=8",
    "generator_options.hop=256",
    "generator_options.rows=32", "generator_options.columns=64", "clips=10", "clip_seconds=1", "batch=4", "workers=0",
    "max_clips=1", "train.steps=2", "train.precision=32-true", "optim.warmup=0",
)  # fmt: skip
"""A generator of seconds, not of quality."""


def write_head(place: Path) -> None:
    """Fit a small generator of first-order sound in two steps, in `head`."""
    settings = [part for each in HEAD_SETTINGS for part in ("--set", each)]
    recipe = "spatialize/foa360-pointing-plain"
    command = ("downstream", "spatialize", "--recipe", recipe, *settings, "--out", place / "head")
    ended = run(command, place, environment={"AVSSL_CACHE": str(place / "cache-head")}, seconds=600)
    assert ended.fault() == "", ended.text
    assert ended.code == 0, ended.text
