"""How far made sound is from the truth, by all measures that the papers and the ear have."""

# C channels, S samples

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor

from avssl.spatial import distances
from avssl.spatial.direction_error import direction_error
from avssl.spatial.energy import POINTS, emd, emd_legacy, energy_towards, equal_area_grid, legacy_grid
from avssl.spatial.interaural import interaural_error

MOMENT = 1.0
"""Seconds over which energy maps are compared."""
WIDE = 32000
"""Hz from which spectra are those of Morgado et al. 2018; below, those of 2.5D Visual Sound."""

Numbers = dict[str, float]


def measure(made: Tensor, truth: Tensor, sample_rate: int, normalisation: str = "none") -> Numbers:
    """All metrics of one clip by name; nan where the truth does not say.

    Args:
        made: `(C, S)`: left, right, or ambiX W, Y, Z, X.
        truth: likewise.
        sample_rate: Hz.
        normalisation: `peak` divides both by their own highest peak first, as PseudoBinaural does.

    Returns:
        Distances are smaller, `snr` is larger where the two are nearer. Of a field, spectra and envelopes are those of
        Y, Z, X: W is given.
    """
    if normalisation == "peak":
        made, truth = distances.peak_normalised(made), distances.peak_normalised(truth)
    spectrum = distances.FIELD if sample_rate >= WIDE else distances.BINAURAL
    pair = (made, truth) if len(truth) == 2 else (made[1:], truth[1:])
    found = {
        "stft": distances.stft_distance(*pair, spectrum),
        "env": distances.envelope_distance(*pair),
        "mag": distances.magnitude_distance(*pair, spectrum),
        "published_mag": distances.published_mag(*pair, spectrum),
        "snr": distances.snr(*pair),
        "lsd": distances.log_spectral_distance(*pair, spectrum),
    }
    numbers = {name: float(value) for name, value in found.items()}
    return numbers | (_ears if len(truth) == 2 else _field)(made, truth, sample_rate)


def mean(clips: Iterable[Numbers]) -> Numbers:
    """Mean over clips of each metric, without those whose truth does not say."""
    rows = list(clips)
    found = {name: [row[name] for row in rows if not math.isnan(row[name])] for name in (rows[0] if rows else {})}
    return {name: sum(values) / len(values) for name, values in found.items() if values}


def _ears(made: Tensor, truth: Tensor, sample_rate: int) -> Numbers:
    """What two ears need to tell directions."""
    spectrum = distances.FIELD if sample_rate >= WIDE else distances.BINAURAL
    level, time, phase = interaural_error(made, truth, sample_rate)
    return {
        "phase": float(distances.phase_distance(made, truth, spectrum)),
        "published_snr": float(distances.published_snr(made, truth)),
        "level_error_db": float(level),
        "time_error_us": 1e6 * float(time),
        "phase_error": float(phase),
    }


def _field(made: Tensor, truth: Tensor, sample_rate: int) -> Numbers:
    """Where the energy comes from."""
    size = min(round(MOMENT * sample_rate), truth.shape[-1])
    moments = [each.unfold(-1, size, size).movedim(-2, 0) for each in (made, truth)]
    maps = [energy_towards(each, *equal_area_grid(POINTS)) for each in moments]
    legacy = [energy_towards(each, *legacy_grid()) for each in moments]
    sounding = [index for index, each in enumerate(truth.unfold(-1, size, size).square().sum((0, 2))) if each > 0]
    moved = [emd(maps[0][index], maps[1][index]) for index in sounding]
    old = [emd_legacy(legacy[0][index], legacy[1][index]) for index in sounding]
    return {
        "emd_degrees": _average(each.degrees for each in moved),
        "mass_ratio": _average(each.mass_ratio for each in moved),
        "legacy_emd": _average(old),
        "legacy_stft": float(distances.published_field_stft(made, truth)),
        "legacy_env": float(distances.published_field_envelope(made, truth)),
        "direction_error": float(direction_error(made, truth, sample_rate)),
    }


def _average(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else math.nan
