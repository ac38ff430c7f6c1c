"""Measured room impulse responses of first order: files, and their direct sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.errors import InputError
from avssl.io.hdf5_file import open_hdf5
from avssl.media import read_all_audio
from avssl.media.sofa_file import SofaFile
from avssl.media.streams import AudioReader
from avssl.spatial.ambisonics import angles, convert
from avssl.spatial.resample import resample
from avssl.synth.user_media.media_files import Split, Splitter, digest, find_files, read_each, split_files

Floats = NDArray[np.float64]
# M measurements, C channels, T taps

EXPECTED = "a folder of first-order room responses"
SUFFIXES = (".wav", ".wave", ".flac", ".caf", ".aif", ".aiff", ".amb", ".w64", ".rf64", ".sofa")
FORMATS = ("ambix", "fuma", "acn-n3d")
LONGEST = 20.0
"""Maximum length of a response, s; what is longer is a recording."""
ONSET_DB = -20.0
"""Level re the loudest sample at which the direct sound begins (ISO 3382-1)."""
RISE = 0.002
"""Seconds from there in which the direct sound is at its loudest."""
BEFORE, AFTER, FADE = 0.001, 0.0015, 0.00025
"""Seconds of the direct sound before and after its loudest sample, and of the fade-out that follows."""
BAND = (200.0, 5000.0)
"""Hz in which its direction is measured; above, first-order microphones alias."""
LEAST_DIRECTED = 0.25
"""Minimum length of the normalised intensity of a direct sound, 1 for a plane wave."""
QUIET = 1e-9
"""Energy up to which a response is silence."""


@dataclass(frozen=True)
class ResponseFile:
    """One measurement of a file."""

    path: Path
    format: str
    """One of `FORMATS`."""
    number: int = 0
    """Of the measurement in a SOFA file."""


@dataclass(frozen=True, eq=False)
class Response:
    """A response with the direct sound apart; the energy of the direct sound in W is 1."""

    direct: Tensor
    """float32 `(4, taps)`, ambiX: the direct sound, faded out."""
    rest: Tensor
    """float32 `(4, taps)`: reflections and reverberation; the sum of both is the response."""
    onset: int
    """Sample at which the direct sound is at its loudest."""
    azimuth: float
    """Radians; of the direct sound."""
    elevation: float

    @property
    def whole(self) -> Tensor:
        """The response `(4, taps)`."""
        return self.direct + self.rest


def load_rooms(
    folder: Path, form: str, splitter: Splitter, rng: np.random.Generator, failures: list[str]
) -> tuple[Split[tuple[ResponseFile, ...]], str]:
    """Rooms of a folder, split, and their identity; a room is a subfolder, or a file.

    Args:
        folder: of wav, flac, ... files of 4 channels, or SOFA files of 4 receivers.
        form: order and normalization of their channels, one of `FORMATS`.
        splitter: decides what is for test scenes.
        rng: where the randomness comes from.
        failures: takes a line for each file that cannot be read or has no direct sound.

    Raises:
        InputError: no file, another number of channels, or too few rooms for two splits.
    """
    found = read_each(find_files(folder, SUFFIXES, EXPECTED), lambda path: _measurements(path, form), failures)
    for path, (channels, _) in found:
        if channels != 4:
            raise InputError(
                f"{path}: expected a first-order room response of 4 channels, got {channels}; leave it out, or "
                "convert it"
            )
    rooms: dict[Path, list[ResponseFile]] = {}
    for path, (_, count) in found:
        room = path if path.parent == folder else path.parent
        rooms.setdefault(room, []).extend(ResponseFile(path, form, number) for number in range(count))
    items = [(files[0].path, tuple(files)) for files in rooms.values()]
    return split_files(folder, items, splitter, rng, "rooms"), digest(folder, [path for path, _ in found])


def _measurements(path: Path, form: str) -> tuple[int, int]:
    """Number of channels of a file, and of measurements; of those with 4 channels the direct sound is located."""
    impulses, rate = _read(path)
    if impulses.shape[1] == 4:
        for number in range(len(impulses)):
            _direct_sound(path, _to_ambix(impulses[number], form), rate)
    return impulses.shape[1], len(impulses)


@lru_cache(maxsize=8)
def read_response(file: ResponseFile, sample_rate: int) -> Response:
    """A response at a sample rate; its levels before and after the direct sound are kept.

    Raises:
        InputError: it cannot be read, or has no direct sound.
    """
    impulses, rate = _read(file.path)
    native = _to_ambix(impulses[file.number], file.format)
    peak, towards = _direct_sound(file.path, native, rate)
    first = max(0, peak - round(BEFORE * rate))
    padded = np.pad(native[:, first:], ((0, 0), (round(BEFORE * rate), 0)))
    foa = resample(torch.from_numpy(padded.astype(np.float32)), rate, sample_rate)
    onset = round((peak - first + round(BEFORE * rate)) * sample_rate / rate)
    window = torch.from_numpy(_window(foa.shape[1], onset, sample_rate).astype(np.float32))
    foa = foa / (foa[0] * window).square().sum().sqrt()
    azimuth, elevation = (float(each) for each in angles(torch.from_numpy(towards)))
    return Response(foa * window, foa * (1 - window), onset, azimuth, elevation)


def _window(taps: int, peak: int, rate: int) -> Floats:
    """1 up to the end of the direct sound, then a fade-out to 0."""
    after = (np.arange(taps) - peak) / rate - AFTER
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(after / FADE, 0, 1)))


def _to_ambix(impulses: Floats, form: str) -> Floats:
    """Channels `(4, taps)` as ambiX."""
    return np.asarray(convert(torch.from_numpy(impulses), form, "ambix").numpy())


def _direct_sound(path: Path, foa: Floats, rate: int) -> tuple[int, Floats]:
    """Loudest sample of the direct sound, and the unit vector that it comes from.

    Raises:
        InputError: silence, or no direct sound that has a direction.
    """
    energy = (foa**2).sum(0)
    if energy.max() <= QUIET:
        raise InputError(f"{path}: expected an impulse response, got silence")
    first = int(np.argmax(energy >= energy.max() * 10 ** (ONSET_DB / 10)))
    peak = first + int(np.argmax(energy[first : first + max(1, round(RISE * rate))]))
    around = foa[:, max(0, peak - round(BEFORE * rate)) : peak + round(AFTER * rate)]
    vector, length = _intensity(around, rate)
    if length < LEAST_DIRECTED:
        raise InputError(
            f"{path}: expected a direct sound from one direction, its intensity is {length:.2f} of a plane wave's; is "
            "the format of the responses another?"
        )
    return peak, vector


def _intensity(foa: Floats, rate: int) -> tuple[Floats, float]:
    """Direction of the active intensity along x, y, z, and its length, 1 for a plane wave; in `BAND`."""
    spectrum_CF = np.fft.rfft(foa, max(1024, 2 * foa.shape[1]))
    frequencies = np.linspace(0, rate / 2, spectrum_CF.shape[1])
    w, y, z, x = spectrum_CF[:, (frequencies >= BAND[0]) & (frequencies <= BAND[1])]
    vector = np.array([(w.conj() * each).real.sum() for each in (x, y, z)])
    power = sum((np.abs(each) ** 2).sum() for each in (w, x, y, z)) / 2
    length = np.linalg.norm(vector)
    return vector / max(length, 1e-300), float(length / max(power, 1e-300))


def _read(path: Path) -> tuple[Floats, int]:
    """Impulse responses `(M, C, T)` as they are stored, and their rate in Hz."""
    impulses, rate = _read_sofa(path) if path.suffix.lower() == ".sofa" else _read_audio(path)
    if impulses.shape[-1] > LONGEST * rate:
        raise InputError(
            f"{path}: expected an impulse response of at most {LONGEST:g} s, got {impulses.shape[-1] / rate:.1f} s; "
            "recordings are ambience"
        )
    if not np.isfinite(impulses).all():
        raise InputError(f"{path}: expected finite samples, got NaN or Inf")
    return impulses, rate


def _read_audio(path: Path) -> tuple[Floats, int]:
    if (seconds := AudioReader(path).seconds) > LONGEST:
        raise InputError(f"{path}: expected an impulse response of at most {LONGEST:g} s, got {seconds:.1f} s")
    audio, rate = read_all_audio(path)
    return audio.double().numpy()[None], rate


def _read_sofa(path: Path) -> tuple[Floats, int]:
    """Responses of a SOFA file: its receivers are the channels, its measurements and emitters the measurements."""
    with open_hdf5(path, "a SOFA file") as file:
        sofa = SofaFile(path, file)
        if sofa.text("Conventions") != "SOFA":
            raise InputError(f"{path}: expected a SOFA file, this HDF5 file does not say that it is one")
        impulses, rates = sofa.numbers("Data.IR"), np.unique(sofa.numbers("Data.SamplingRate"))
        kind, delays = sofa.text("DataType"), sofa.numbers("Data.Delay") if "Data.Delay" in sofa else np.zeros((1, 1))
    if len(rates) != 1 or not 1000 <= rates[0] <= 1_000_000 or rates[0] != round(rates[0]):
        raise InputError(f"{path}: Data.SamplingRate is one whole number of hertz, not {rates[:4].tolist()}")
    if delays.ndim > 1 and np.ptp(delays, axis=1).any():
        raise InputError(f"{path}: expected one Data.Delay for all channels of a response, got different ones")
    return _by_measurement(path, impulses, kind), int(rates[0])


_EMITTERS = {"FIR-E": (0, 3, 1, 2), "FIRE": (0, 2, 1, 3)}
"""Data type of SOFA -> axes of `Data.IR` for measurements, emitters, receivers, samples."""


def _by_measurement(path: Path, impulses: Floats, kind: str) -> Floats:
    """`Data.IR` as `(M, C, T)`."""
    axes: Sequence[int] | None = _EMITTERS.get(kind)
    if axes is not None and impulses.ndim == 4:
        impulses = impulses.transpose(axes).reshape(-1, impulses.shape[axes[2]], impulses.shape[axes[3]])
    if impulses.ndim != 3 or not impulses.size:
        raise InputError(f"{path}: Data.IR is (measurements, receivers, samples), this is {impulses.shape} of {kind}")
    return impulses
