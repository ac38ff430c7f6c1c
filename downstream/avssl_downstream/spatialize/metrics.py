"""Metrics of generated audio against the target: those of the papers, and those of spatial hearing."""

# C channels, S samples

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from avssl.evaluation.bootstrap import ratio_interval
from avssl.spatial.energy_map import POINTS, emd, emd_legacy, energy_towards, equal_area_grid, legacy_grid
from avssl.spatial.metrics import spectral_error
from avssl.spatial.metrics.binaural_error import interaural_error
from avssl.spatial.metrics.direction_error import direction_error
from avssl.spatial.stft import StftConfig
from avssl_downstream.spatialize.generator import KEPT_CHANNELS

MAP_SECONDS = 1.0
"""Seconds of one energy map."""
WIDEBAND_RATE = 32000
"""Hz, sample rate from which spectra are those of Morgado et al. 2018; below, those of 2.5D Visual Sound."""

HEIGHT = 2
"""Channel Z of first-order ambisonics."""
ERROR, ENERGY = "error_energy", "target_energy"
"""Metrics of a clip whose sums over clips give the energy explained."""
EXPLAINED = "explained"
RESAMPLINGS = 1000
"""Bootstrap samples of an interval over clips."""

Metrics = dict[str, float]


def audio_metrics(
    audio: Tensor, target: Tensor, sample_rate: int, normalisation: str = "none", silent_height: bool = False
) -> Metrics:
    """All metrics of one clip by name; nan where the target does not define one.

    Args:
        audio: generated, `(C, S)`: left, right; or ambiX W, Y, Z, X; or nine channels of second order.
        target: of the same shape. A first-order Z that is silent throughout is one that was not recorded (WXY): it
            counts in no metric.
        sample_rate: Hz.
        normalisation: `peak` first divides each by its own peak, as PseudoBinaural does; not for the energies.
        silent_height: Z was not recorded, though it is not exactly 0.

    Returns:
        Distances (smaller is better), `snr` (larger is better), and the energies of `energy_metrics`. Of ambisonics,
        spectral and envelope distances are over the generated channels: Y, Z, X; or the five of second order.
    """
    present = present_channels(target, silent_height)
    audio, target = (_without_absent(each, present) for each in (audio, target))
    energies = energy_metrics(audio, target, sample_rate)
    if normalisation == "peak":
        audio, target = spectral_error.peak_normalised(audio), spectral_error.peak_normalised(target)
    spectrum = _spectrum(sample_rate)
    generated = [index for index in present if index >= KEPT_CHANNELS[len(target)]]
    pair = audio[generated], target[generated]
    found = {
        "stft": spectral_error.stft_distance(*pair, spectrum),
        "env": spectral_error.envelope_distance(*pair),
        "mag": spectral_error.magnitude_distance(*pair, spectrum),
        "published_mag": spectral_error.published_mag(*pair, spectrum),
        "snr": spectral_error.snr(*pair),
        "lsd": spectral_error.log_spectral_distance(*pair, spectrum),
    }
    metrics = energies | {name: float(value) for name, value in found.items()}
    if len(target) == 4:
        return metrics | _first_order(audio, target, sample_rate, present)
    return metrics | {2: _binaural, 9: _energy_maps}[len(target)](audio, target, sample_rate)


def energy_metrics(audio: Tensor, target: Tensor, sample_rate: int) -> Metrics:
    """STFT energy of the error and of the target in the channels that a generator has to make, means per bin.

    These are Y, Z and X; the five of second order; or left minus right of binaural audio, whose sum is given. Their
    ratio is the share of the energy that is not explained: 1 for silence in them.
    """
    kept = KEPT_CHANNELS[len(target)]
    pair = [each[:1] - each[1:] if len(each) == 2 else each[kept:] for each in (audio, target)]
    error = spectral_error.stft_distance(pair[0], pair[1], _spectrum(sample_rate))
    energy = spectral_error.stft_distance(torch.zeros_like(pair[1]), pair[1], _spectrum(sample_rate))
    return {ERROR: float(error), ENERGY: float(energy)}


def present_channels(target: Tensor, silent_height: bool = False) -> list[int]:
    """Channels of `(C, S)` that were recorded: all, but for a silent Z of first-order ambisonics."""
    absent = len(target) == 4 and (silent_height or not bool(target[HEIGHT].any()))
    return [index for index in range(len(target)) if not (absent and index == HEIGHT)]


def explained_energy(clips: Sequence[Metrics], groups: Sequence[str]) -> Metrics:
    """Energy explained over clips, 1 - error / energy of the target, with its 95 % interval; empty if all are silent.

    Args:
        clips: metrics of each clip, with those of `energy_metrics`.
        groups: recording of each clip; recordings are resampled.
    """
    error, energy = ([clip[name] for clip in clips] for name in (ERROR, ENERGY))
    if not sum(energy) > 0:
        return {}
    left, low, high = ratio_interval(error, energy, groups, RESAMPLINGS, seed=0)
    return {EXPLAINED: 1 - left, f"{EXPLAINED}_low": 1 - high, f"{EXPLAINED}_high": 1 - low}


def clip_means(clips: Sequence[Metrics], groups: Sequence[str]) -> Metrics:
    """Energy explained over clips, see `explained_energy`, and the means of all other metrics."""
    means = {name: value for name, value in mean_metrics(clips).items() if name not in (ERROR, ENERGY)}
    return explained_energy(clips, groups) | means


def mean_metrics(clips: Iterable[Metrics]) -> Metrics:
    """Mean of each metric over the clips that define it."""
    rows = list(clips)
    found = {name: [row[name] for row in rows if not math.isnan(row[name])] for name in (rows[0] if rows else {})}
    return {name: sum(values) / len(values) for name, values in found.items() if values}


def _binaural(audio: Tensor, target: Tensor, sample_rate: int) -> Metrics:
    """Phase distance and errors of interaural cues."""
    spectrum = _spectrum(sample_rate)
    level, time, phase = interaural_error(audio, target, sample_rate)
    return {
        "phase": float(spectral_error.phase_distance(audio, target, spectrum)),
        "published_snr": float(spectral_error.published_snr(audio, target)),
        "level_error_db": float(level),
        "time_error_us": 1e6 * float(time),
        "phase_error": float(phase),
    }


def _spectrum(sample_rate: int) -> StftConfig:
    return spectral_error.FIELD if sample_rate >= WIDEBAND_RATE else spectral_error.BINAURAL


def _without_absent(audio: Tensor, present: Sequence[int]) -> Tensor:
    """Audio `(C, S)` with zeros in the channels that are not present."""
    if len(present) == len(audio):
        return audio
    found = torch.zeros_like(audio)
    found[list(present)] = audio[list(present)]
    return found


def _first_order(audio: Tensor, target: Tensor, sample_rate: int, present: list[int]) -> Metrics:
    """Errors of direction, and the metrics as Morgado et al. 2018 computed them, over the channels present."""
    legacy = [emd_legacy(*maps) for maps in _map_pairs(audio, target, sample_rate, *legacy_grid())]
    return _energy_maps(audio, target, sample_rate) | {
        "legacy_emd": _mean(legacy),
        "legacy_stft": float(spectral_error.published_field_stft(audio[present], target[present])),
        "legacy_env": float(spectral_error.published_field_envelope(audio[present], target[present])),
        "direction_error": float(direction_error(audio, target, sample_rate)),
    }


def _energy_maps(audio: Tensor, target: Tensor, sample_rate: int) -> Metrics:
    """Earth mover's distance of energy maps at the resolution of the order."""
    moved = [emd(*maps) for maps in _map_pairs(audio, target, sample_rate, *equal_area_grid(POINTS))]
    return {
        "emd_degrees": _mean(each.degrees for each in moved),
        "mass_ratio": _mean(each.mass_ratio for each in moved),
    }


def _map_pairs(audio: Tensor, target: Tensor, sample_rate: int, *grid: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Energy maps of audio and target, for every second in which the target is not silent."""
    size = min(round(MAP_SECONDS * sample_rate), target.shape[-1])
    seconds = [each.unfold(-1, size, size).movedim(-2, 0) for each in (audio, target)]
    maps, target_maps = (energy_towards(each, *grid) for each in seconds)
    return [(maps[index], target_maps[index]) for index, each in enumerate(seconds[1]) if each.any()]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else math.nan
