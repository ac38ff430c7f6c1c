"""Read head-related impulse responses from SOFA files (AES69) and folders of audio files."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avssl.errors import InputError, MissingFileError
from avssl.io.hdf5_file import open_hdf5
from avssl.media.hrir_folder import read_folder
from avssl.media.sofa_file import MAX_VALUES, Array, SofaFile
from avssl.spatial.ambisonics import angles, direction
from avssl.spatial.hrir import HrirSet
from avssl.spatial.hrir_interpolation import fractional_delay

logger = logging.getLogger(__name__)

_CONVENTION = "SimpleFreeFieldHRIR"
_LATEST = 1.0
"""Maximum `Data.Delay` in seconds."""
_AUDIBLE = 3.0
"""Minimum interaural level difference in dB, averaged over lateral sources, to identify the left ear."""
_WIDTH = 0.25
"""Minimum lateral extent of the sources on the unit sphere."""


def read_hrirs(path: Path) -> HrirSet:
    """Read an HRIR set at its measured sample rate.

    Args:
        path: a SOFA file of the convention SimpleFreeFieldHRIR, or a folder of audio files, see `read_folder`.

    Raises:
        InputError: the file is corrupt, of another convention, or not a valid two-ear set.
        OSError: it cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"{path}: no such file or folder of head-related responses")
    hrirs = read_folder(path) if path.is_dir() else _read_file(path)
    _require_binaural(path, hrirs)
    return hrirs


def _read_file(path: Path) -> HrirSet:
    with open_hdf5(path, "a SOFA file") as file:
        return _read(SofaFile(path, file))


def _require_binaural(path: Path, hrirs: HrirSet) -> None:
    """Validate non-zero responses of both ears and lateral extent of the sources."""
    for ear, loudest in zip(("left", "right"), hrirs.responses.abs().amax((0, 2)).tolist(), strict=True):
        if loudest == 0:
            raise InputError(f"{path}: expected responses of two ears, got only zeros for the {ear} ear")
    side = direction(*hrirs.directions.T)[:, 1]
    if side.max() - side.min() < _WIDTH:
        raise InputError(f"{path}: expected responses to sources around a head, all are in one sagittal plane")


def _read(sofa: SofaFile) -> HrirSet:
    _require_convention(sofa)
    impulses, rate = sofa.numbers("Data.IR"), _rate(sofa)
    if impulses.ndim != 3 or impulses.shape[1] != 2 or not impulses.size:
        raise InputError(f"{sofa.path}: Data.IR is (measurements, 2 receivers, samples), this is {impulses.shape}")
    sources = _sources(sofa, len(impulses))
    left = _left_receiver(sofa, impulses, sources)
    delayed = _delayed(sofa, impulses, rate)
    kept = _farthest(sources)
    towards = torch.stack(angles(torch.from_numpy(sources[kept])), -1).float()
    ears = delayed[torch.from_numpy(kept)][:, [left, 1 - left]]
    return HrirSet(towards, ears.float().contiguous(), rate)


def _require_convention(sofa: SofaFile) -> None:
    found, kind = sofa.text("SOFAConventions"), sofa.text("DataType") or "no"
    if sofa.text("Conventions") != "SOFA" or not found:
        raise InputError(f"{sofa.path}: expected a SOFA file, this HDF5 file does not say that it is one")
    if found != _CONVENTION or kind != "FIR":
        raise InputError(
            f"{sofa.path}: expected the SOFA convention {_CONVENTION} with FIR data, this is {found} with {kind} data"
        )


def _rate(sofa: SofaFile) -> int:
    rates = np.unique(sofa.numbers("Data.SamplingRate"))
    if len(rates) != 1 or not 1000 <= rates[0] <= 1_000_000 or rates[0] != round(rates[0]):
        raise InputError(f"{sofa.path}: Data.SamplingRate is one whole number of hertz, not {rates[:4].tolist()}")
    return int(rates[0])


def _sources(sofa: SofaFile, count: int) -> Array:
    """Source positions relative to the listener: `(measurements, 3)` along x, y, z in metres."""
    place = sofa.positions("SourcePosition", count)
    if "ListenerPosition" in sofa:
        place = place - sofa.positions("ListenerPosition", count)
    if "ListenerView" in sofa and "ListenerUp" in sofa:
        kind = sofa.text("Type", "ListenerView").lower() or "cartesian"
        place = _rotate_to_listener(
            sofa, place, *(sofa.positions(name, count, kind) for name in ("ListenerView", "ListenerUp"))
        )
    if not np.linalg.norm(place, axis=-1).all():
        raise InputError(f"{sofa.path}: a source stands in the middle of the head, and has no direction")
    return place


def _rotate_to_listener(sofa: SofaFile, place: Array, front: Array, up: Array) -> Array:
    """Rotate positions `(measurements, 3)` to the listener's front, left, up axes."""
    left = np.cross(up, front)
    axes = np.stack([front, left, np.cross(front, left)], 1)
    length = np.linalg.norm(axes, axis=-1, keepdims=True)
    if not length.all():
        raise InputError(f"{sofa.path}: ListenerView and ListenerUp point the same way or nowhere")
    return np.asarray(np.einsum("mij,mj->mi", axes / length, place))


def _delayed(sofa: SofaFile, impulses: Array, rate: int) -> torch.Tensor:
    """Responses `(measurements, 2, samples)` with `Data.Delay` (samples) applied."""
    delays = sofa.rows("Data.Delay", len(impulses), 2)
    if not 0 <= delays.min() <= delays.max() <= _LATEST * rate:
        raise InputError(
            f"{sofa.path}: Data.Delay is between 0 and {_LATEST * rate:.0f} samples, "
            f"this goes from {delays.min():g} to {delays.max():g}"
        )
    if not delays.any():
        return torch.from_numpy(impulses)
    # An odd number of taps moves by a fraction of a sample without loss.
    longer = (impulses.shape[2] + int(np.ceil(delays.max())) + 1) | 1
    if (values := 2 * len(impulses) * longer) > MAX_VALUES:
        raise InputError(
            f"{sofa.path}: expected {MAX_VALUES} values of delayed responses at most, got {values}: a Data.Delay of "
            f"{delays.max():g} samples"
        )
    padded = np.pad(impulses, ((0, 0), (0, 0), (0, longer - impulses.shape[2])))
    return fractional_delay(torch.from_numpy(padded), torch.from_numpy(delays))


def _left_receiver(sofa: SofaFile, impulses: Array, sources: Array) -> int:
    """Index of the left receiver: by position, unless the level difference contradicts it.

    The head shadows the far ear; some published files have swapped positions but correct responses.
    """
    stated, louder = _stated_left(sofa), _louder_near_first(impulses, sources)
    if abs(louder) < _AUDIBLE:
        if stated is None:
            raise InputError(f"{sofa.path}: neither ReceiverPosition nor the responses identify the left ear")
        return stated
    measured = int(louder < 0)
    if stated not in (None, measured):
        message = (
            "%s: ReceiverPosition exchanges the ears: sources at the sides are %.0f dB louder in the far one; swapped"
        )
        logger.warning(message, sofa.path, abs(louder))
    return measured


def _louder_near_first(impulses: Array, sources: Array) -> float:
    """Near-ear over far-ear level in dB of lateral sources, if the first receiver is the left ear."""
    side = sources[:, 1] / np.linalg.norm(sources, axis=-1)
    energy = (impulses**2).sum(-1)
    left, right = np.clip(side, 0, 1) @ energy, np.clip(-side, 0, 1) @ energy
    quiet = np.finfo(np.float64).tiny
    return float(10 * np.log10((left[0] + right[1] + quiet) / (left[1] + right[0] + quiet)))


def _stated_left(sofa: SofaFile) -> int | None:
    if "ReceiverPosition" not in sofa:
        return None
    values = sofa.numbers("ReceiverPosition")
    if values.shape[:2] != (2, 3):
        raise InputError(f"{sofa.path}: ReceiverPosition has 2 receivers (two ears), this is {values.shape}")
    side = sofa.cartesian("ReceiverPosition", values.reshape(2, 3, -1)[..., 0])[:, 1]
    return None if abs(side[0] - side[1]) < 1e-4 else int(side[1] > side[0])


def _farthest(sources: Array) -> NDArray[np.intp]:
    """Indices of the farthest measurement per direction, in order (far-field approximation)."""
    distance = np.linalg.norm(sources, axis=-1)
    _, group = np.unique(np.round(sources / distance[:, None], 3), axis=0, return_inverse=True)
    most = np.zeros(len(sources))
    np.maximum.at(most, group.ravel(), distance)
    return np.flatnonzero(distance >= most[group.ravel()] * 0.999)
