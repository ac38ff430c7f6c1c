"""Tiers and distribution of the tests, and folders that all modules of a run share."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

END_TO_END = Path(__file__).parent / "end_to_end"
NOT_FAST = ("heavy", "slow", "gpu")
HEAVY_FIXTURES = {"fitted", "hostile"}
"""A trained generator; a prepared folder: the tests that need them are heavy."""
WORKER = os.environ.get("PYTEST_XDIST_WORKER")

# Each worker has a core of its own, and on two threads equal runs are not equal to the bit; before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

for number in (signal.SIGINT, signal.SIGHUP):  # ignored by what nohup or a shell's `&` starts, and by what that starts
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process a core and one more for several files; none for a single file, whose tests stay together anyway.

    The heavy tests wait for processes of their own, a quarter of their time in the mean.
    """
    from avssl.io.cores import usable_cores

    files = [argument.partition("::")[0] for argument in config.args]
    if usable_cores() == 1 or (len(files) == 1 and Path(files[0]).suffix == ".py"):
        config.option.dist = "no"
        return 0
    return usable_cores() + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the fast tier, and begin with the longest: end to end, then files with heavy tests."""
    for item in items:
        if item.path.is_relative_to(END_TO_END) or HEAVY_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("heavy")
        if not any(item.get_closest_marker(name) for name in NOT_FAST):
            item.add_marker("fast")
    heavy: dict[Path, int] = {}
    for item in items:
        heavy[item.path] = heavy.get(item.path, 0) + bool(item.get_closest_marker("heavy"))
    order = {path: (not path.is_relative_to(END_TO_END), -count) for path, count in heavy.items()}
    items.sort(key=lambda item: order[item.path])


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Folders that are written once in a run, whichever process needs them first; not to be changed."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if WORKER else base

    def make(name: str, write: Callable[[Path], object]) -> Path:
        """The folder `name`, after `write` has filled it."""
        folder, done = base / f"shared-{name}", base / f"shared-{name}.done"
        with (base / f"shared-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.is_file():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                write(folder)
                done.touch()
        return folder

    return make


def element(kind: int, *bodies: bytes) -> bytes:
    """An EBML element: identifier as a number, body."""
    body = b"".join(bodies)
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + (0x01 << 56 | len(body)).to_bytes(8, "big") + body


def number(value: int) -> bytes:
    return value.to_bytes(8, "big")


@pytest.fixture
def matroska():
    """Write a Matroska file of JPEG frames by hand, so that its header can say anything.

    Path, frames, time stamps in milliseconds; `video`: further elements of Video; `track`: of TrackEntry; `duration`:
    milliseconds in Info; `tracks`: further entries; `codec`: of the frames; `audio`: time stamps of PCM blocks
    of 100 ms, mono, 8 kHz; `sound`: each of them, silence by default.
    """

    def write(
        path,
        frames,
        stamps,
        *,
        video=b"",
        track=b"",
        duration=None,
        tracks=b"",
        codec=b"V_MJPEG",
        audio=(),
        sound=bytes(1600),
    ):
        import cv2  # after the environment of the threads

        height, width = frames[0].shape[:2]
        coded = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in frames]
        size = element(0xB0, number(width)) + element(0xBA, number(height))
        entry = element(0xAE, element(0xD7, number(1)), element(0x73C5, number(1)), element(0x83, number(1)),
                        element(0x86, codec), track, element(0xE0, size, video))  # fmt: skip
        pcm = element(0xAE, element(0xD7, number(2)), element(0x73C5, number(2)), element(0x83, number(2)),
                        element(0x86, b"A_PCM/INT/LIT"),
                        element(0xE1, element(0xB5, struct.pack(">d", 8000.0)), element(0x9F, number(1)),
                                element(0x6264, number(16))))  # fmt: skip
        blocks = [(stamp, 1, data) for stamp, data in zip(stamps, coded, strict=True)]
        blocks += [(stamp, 2, sound) for stamp in audio]
        clusters = [
            element(0x1F43B675, element(0xE7, number(stamp)), element(0xA3, bytes([0x80 | of, 0, 0, 0x80]), data))
            for stamp, of, data in sorted(blocks, key=lambda each: each[0] if audio else 0)
        ]
        lasts = b"" if duration is None else element(0x4489, struct.pack(">d", float(duration)))
        info = element(0x1549A966, element(0x2AD7B1, number(1_000_000)), lasts)
        header = element(
            0x1A45DFA3, element(0x4282, b"matroska"), element(0x4287, number(4)), element(0x4285, number(2))
        )
        head = element(0x1654AE6B, entry, tracks, pcm if audio else b"")
        path.write_bytes(header + element(0x18538067, info, head, *clusters))
        return path

    write.element, write.number = element, number
    return write


AZIMUTHS = {
    "near_1": 20,
    "near_2": -10,
    "left_1": 100,
    "left_2": 70,
    "back_1": 175,
    "right_3": -40,
    "up_1": 5,
    "odd_7": -130,
}
"""Clip of `filmed_noise` -> degrees of azimuth of its source, on the horizon; clips NAME_START are of one video."""


@pytest.fixture
def filmed_noise(shared_folder: Callable[..., Path]) -> Path:
    """A manifest of clips of 0.75 s: a white disc on grey, and noise from its direction; not to be changed."""
    return shared_folder("filmed-noise", _film_noise)


def _film_noise(folder: Path) -> None:
    import numpy as np
    import torch

    from avssl.datasets.manifest import Row, write_manifest
    from avssl.media import write_audio, write_video
    from avssl.spatial.ambisonics import encode

    generator, rows = torch.Generator().manual_seed(0), []
    for key, degrees in AZIMUTHS.items():
        distance = (180 - np.arange(128) * 360 / 128 - degrees + 180) % 360 - 180
        frame = np.full((64, 128, 3), 30, np.uint8)
        frame[28:36, np.abs(distance) < 12] = 250
        write_video(folder / f"{key}.mp4", [frame] * 12, 16.0)
        azimuth = torch.tensor(degrees).deg2rad()
        field = encode(0.1 * torch.randn(18000, generator=generator), azimuth=azimuth, elevation=torch.tensor(0.0))
        write_audio(folder / f"{key}.wav", field, 24000, subtype="FLOAT")
        own = f"films/{key}.webm"
        rows.append(
            Row(
                key,
                "",
                f"{key}.mp4",
                f"{key}.wav",
                0.0,
                0.75,
                16.0,
                128,
                64,
                24000,
                "ambix",
                "",
                degrees,
                0.0,
                0.0,
                own,
            )
        )
    write_manifest(folder, rows)
