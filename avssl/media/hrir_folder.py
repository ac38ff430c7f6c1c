"""Read head-related impulse responses from CIPIC and SADIE folders of wav files."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avssl.errors import InputError
from avssl.media.sound_file import open_sound
from avssl.spatial.ambisonics import angles
from avssl.spatial.hrir import HrirSet

Array = NDArray[np.float32]

MAX_TAPS = 2**20
"""Maximum samples of a response: 20 s at 48 kHz."""
_CIPIC = re.compile(r"(neg)?(\d+)az(left|right)\.wav")
_CIPIC_ELEVATIONS = 50
_NUMBER = r"(-?\d+(?:[.,]\d+)?)"
_SADIE = re.compile(rf"azi_{_NUMBER}_ele_{_NUMBER}(?:_\w+)?\.wav")


def read_folder(folder: Path) -> HrirSet:
    """Read an HRIR set from wav files with directions in their names.

    - CIPIC: `{neg}AZIMUTHaz{left,right}.wav`, a frame for each of 50 elevations and a channel for each tap. Angles are
      interaural-polar, azimuth to the right: azimuth is the angle off the median plane, elevation turns about the axis
      through the ears, -45 to 230.6 degrees (beyond 90 is behind).
    - SADIE: `azi_AZIMUTH_ele_ELEVATION*.wav`, left and right channel, azimuth counter-clockwise: 90 is left.

    Args:
        folder: contains the files, directly or in one subfolder.

    Raises:
        InputError: no such files, or inconsistent files.
    """
    for pattern, read in ((_CIPIC, _read_cipic), (_SADIE, _read_sadie)):
        places = sorted({path.parent for path in folder.rglob("*.wav") if pattern.fullmatch(path.name)})
        if folder in places:
            return read(folder)
        if len(places) > 1:
            names = ", ".join(str(place.relative_to(folder)) for place in places[:4])
            raise InputError(f"{folder}: several folders of head-related responses ({names}); name one of them")
        if places:
            return read(places[0])
    raise InputError(
        f"{folder}: expected head-related responses named as CIPIC (0azleft.wav) or SADIE (azi_90_ele_0.wav) name them"
    )


def _read_cipic(folder: Path) -> HrirSet:
    sides: dict[str, dict[float, Array]] = {"left": {}, "right": {}}
    rates = set()
    for path in sorted(folder.iterdir()):
        if named := _CIPIC.fullmatch(path.name):
            audio, rate = _read_audio(path, (_CIPIC_ELEVATIONS, None))
            sides[named[3]][math.radians(int(named[2])) * (-1 if named[1] else 1)] = audio
            rates.add(rate)
    odd = sides["left"].keys() ^ sides["right"].keys()
    if odd:
        raise InputError(
            f"{folder}: azimuth {math.degrees(min(odd)):.0f} has one ear; a left and a right file belong together"
        )
    elevation = np.radians(-45 + 5.625 * np.arange(_CIPIC_ELEVATIONS))
    azimuths = sorted(sides["left"])
    pairs = [np.stack([sides["left"][azimuth], sides["right"][azimuth]], 1) for azimuth in azimuths]
    return _hrirs(folder, np.concatenate([_interaural(azimuth, elevation) for azimuth in azimuths]), pairs, rates)


def _interaural(azimuth: float, elevation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors `(elevations, 3)` of interaural-polar angles, azimuth to the right."""
    level = math.cos(azimuth)
    right = np.full_like(elevation, math.sin(azimuth))
    return np.stack([level * np.cos(elevation), -right, level * np.sin(elevation)], -1)


def _read_sadie(folder: Path) -> HrirSet:
    found: dict[tuple[float, float], Array] = {}
    rates = set()
    for path in sorted(folder.iterdir()):
        if named := _SADIE.fullmatch(path.name):
            azimuth, elevation = (math.radians(float(number.replace(",", "."))) for number in named.groups())
            if (azimuth, elevation) in found:
                raise InputError(f"{path}: a second response from this direction; keep one version a folder")
            audio, rate = _read_audio(path, (None, 2))
            found[azimuth, elevation] = audio.T
            rates.add(rate)
    vectors = [(math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e)) for a, e in found]
    return _hrirs(folder, np.array(vectors), [audio[None] for audio in found.values()], rates)


def _read_audio(path: Path, shape: tuple[int | None, int | None]) -> tuple[Array, int]:
    """Samples `(frames, channels)` and rate of an audio file."""
    with open_sound(path) as file:
        if file is None:
            raise InputError(f"{path}: expected a sound file, this one cannot be read")
        if file.frames > MAX_TAPS:
            raise InputError(f"{path}: expected a response of {MAX_TAPS} samples at most, got {file.frames}")
        audio, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    if not audio.size or any(want not in (None, got) for want, got in zip(shape, audio.shape, strict=True)):
        frames, channels = ("any" if want is None else want for want in shape)
        raise InputError(f"{path}: expected {frames} frames of {channels} channels, this has {audio.shape}")
    if not np.isfinite(audio).all():
        raise InputError(f"{path}: audio contains NaN or Inf")
    return audio, int(rate)


def _hrirs(folder: Path, vectors: NDArray[np.float64], responses: list[Array], rates: set[int]) -> HrirSet:
    lengths = {each.shape[-1] for each in responses}
    if len(rates) > 1 or len(lengths) > 1:
        raise InputError(
            f"{folder}: files of one rate and length, here are {sorted(rates)} Hz and {sorted(lengths)} taps"
        )
    towards = torch.stack(angles(torch.from_numpy(vectors)), -1).float()
    return HrirSet(towards, torch.from_numpy(np.concatenate(responses)), rates.pop())
