"""Metrics of generated audio against the target: those of the papers, and those of spatial hearing."""

# C channels, S samples

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor

from avssl.spatial.energy_map import POINTS, emd, emd_legacy, energy_towards, equal_area_grid, legacy_grid
from avssl.spatial.metrics import spectral_error
from avssl.spatial.metrics.binaural_error import interaural_error
from avssl.spatial.metrics.direction_error import direction_error
from avssl_downstream.spatialize.generator import KEPT_CHANNELS

MAP_SECONDS = 1.0
"""Seconds of one energy map."""
WIDEBAND_RATE = 32000
"""Hz, sample rate from which spectra are those of Morgado et al. 2018; below, those of 2.5D Visual Sound."""

Metrics = dict[str, float]


def audio_metrics(audio: Tensor, target: Tensor, sample_rate: int, normalisation: str = "none") -> Metrics:
    """All metrics of one clip by name; nan where the target does not define one.

    Args:
        audio: generated, `(C, S)`: left, right; or ambiX W, Y, Z, X; or nine channels of second order.
        target: of the same shape.
        sample_rate: Hz.
        normalisation: `peak` first divides each by its own peak, as PseudoBinaural does.

    Returns:
        Distances (smaller is better) and `snr` (larger is better). Of ambisonics, spectral and envelope distances are
        over the generated channels: Y, Z, X; or the five of second order.
    """
    if normalisation == "peak":
        audio, target = spectral_error.peak_normalised(audio), spectral_error.peak_normalised(target)
    spectrum = spectral_error.FIELD if sample_rate >= WIDEBAND_RATE else spectral_error.BINAURAL
    kept = KEPT_CHANNELS[len(target)]
    pair = audio[kept:], target[kept:]
    found = {
        "stft": spectral_error.stft_distance(*pair, spectrum),
        "env": spectral_error.envelope_distance(*pair),
        "mag": spectral_error.magnitude_distance(*pair, spectrum),
        "published_mag": spectral_error.published_mag(*pair, spectrum),
        "snr": spectral_error.snr(*pair),
        "lsd": spectral_error.log_spectral_distance(*pair, spectrum),
    }
    metrics = {name: float(value) for name, value in found.items()}
    return metrics | {2: _binaural, 4: _first_order, 9: _energy_maps}[len(target)](audio, target, sample_rate)


def mean_metrics(clips: Iterable[Metrics]) -> Metrics:
    """Mean of each metric over the clips that define it."""
    rows = list(clips)
    found = {name: [row[name] for row in rows if not math.isnan(row[name])] for name in (rows[0] if rows else {})}
    return {name: sum(values) / len(values) for name, values in found.items() if values}


def _binaural(audio: Tensor, target: Tensor, sample_rate: int) -> Metrics:
    """Phase distance and errors of interaural cues."""
    spectrum = spectral_error.FIELD if sample_rate >= WIDEBAND_RATE else spectral_error.BINAURAL
    level, time, phase = interaural_error(audio, target, sample_rate)
    return {
        "phase": float(spectral_error.phase_distance(audio, target, spectrum)),
        "published_snr": float(spectral_error.published_snr(audio, target)),
        "level_error_db": float(level),
        "time_error_us": 1e6 * float(time),
        "phase_error": float(phase),
    }


def _first_order(audio: Tensor, target: Tensor, sample_rate: int) -> Metrics:
    """Errors of direction, and the metrics as Morgado et al. 2018 computed them."""
    legacy = [emd_legacy(*maps) for maps in _map_pairs(audio, target, sample_rate, *legacy_grid())]
    return _energy_maps(audio, target, sample_rate) | {
        "legacy_emd": _mean(legacy),
        "legacy_stft": float(spectral_error.published_field_stft(audio, target)),
        "legacy_env": float(spectral_error.published_field_envelope(audio, target)),
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
