"""How far made sound is from the truth, by all measures that the papers and the ear have."""

# C channels, S samples

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor

from avssl.spatial.energy_map import POINTS, emd, emd_legacy, energy_towards, equal_area_grid, legacy_grid
from avssl.spatial.metrics import spectral_error
from avssl.spatial.metrics.binaural_error import interaural_error
from avssl.spatial.metrics.direction_error import direction_error
from avssl_downstream.spatialize.generator import GIVEN

MOMENT = 1.0
"""Seconds over which energy maps are compared."""
WIDE = 32000
"""Hz from which spectra are those of Morgado et al. 2018; below, those of 2.5D Visual Sound."""

Metrics = dict[str, float]


def audio_metrics(made: Tensor, truth: Tensor, sample_rate: int, normalisation: str = "none") -> Metrics:
    """All metrics of one clip by name; nan where the truth does not say.

    Args:
        made: `(C, S)`: left, right; or ambiX W, Y, Z, X; or the nine channels of the second order.
        truth: likewise.
        sample_rate: Hz.
        normalisation: `peak` divides both by their own highest peak first, as PseudoBinaural does.

    Returns:
        Distances are smaller, `snr` is larger where the two are nearer. Of a field, spectra and envelopes are those of
        the channels that are not given: Y, Z, X without W, or the five of the second order without the first.
    """
    if normalisation == "peak":
        made, truth = spectral_error.peak_normalised(made), spectral_error.peak_normalised(truth)
    spectrum = spectral_error.FIELD if sample_rate >= WIDE else spectral_error.BINAURAL
    pair = made[GIVEN[len(truth)] :], truth[GIVEN[len(truth)] :]
    found = {
        "stft": spectral_error.stft_distance(*pair, spectrum),
        "env": spectral_error.envelope_distance(*pair),
        "mag": spectral_error.magnitude_distance(*pair, spectrum),
        "published_mag": spectral_error.published_mag(*pair, spectrum),
        "snr": spectral_error.snr(*pair),
        "lsd": spectral_error.log_spectral_distance(*pair, spectrum),
    }
    numbers = {name: float(value) for name, value in found.items()}
    return numbers | {2: _ears, 4: _field, 9: _sharper_field}[len(truth)](made, truth, sample_rate)


def mean_metrics(clips: Iterable[Metrics]) -> Metrics:
    """Mean over clips of each metric, without those whose truth does not say."""
    rows = list(clips)
    found = {name: [row[name] for row in rows if not math.isnan(row[name])] for name in (rows[0] if rows else {})}
    return {name: sum(values) / len(values) for name, values in found.items() if values}


def _ears(made: Tensor, truth: Tensor, sample_rate: int) -> Metrics:
    """What two ears need to tell directions."""
    spectrum = spectral_error.FIELD if sample_rate >= WIDE else spectral_error.BINAURAL
    level, time, phase = interaural_error(made, truth, sample_rate)
    return {
        "phase": float(spectral_error.phase_distance(made, truth, spectrum)),
        "published_snr": float(spectral_error.published_snr(made, truth)),
        "level_error_db": float(level),
        "time_error_us": 1e6 * float(time),
        "phase_error": float(phase),
    }


def _field(made: Tensor, truth: Tensor, sample_rate: int) -> Metrics:
    """Where the energy comes from."""
    old = [emd_legacy(*maps) for maps in _maps(made, truth, sample_rate, *legacy_grid())]
    return _sharper_field(made, truth, sample_rate) | {
        "legacy_emd": _average(old),
        "legacy_stft": float(spectral_error.published_field_stft(made, truth)),
        "legacy_env": float(spectral_error.published_field_envelope(made, truth)),
        "direction_error": float(direction_error(made, truth, sample_rate)),
    }


def _sharper_field(made: Tensor, truth: Tensor, sample_rate: int) -> Metrics:
    """Where the energy comes from, as finely as the order says."""
    moved = [emd(*maps) for maps in _maps(made, truth, sample_rate, *equal_area_grid(POINTS))]
    return {
        "emd_degrees": _average(each.degrees for each in moved),
        "mass_ratio": _average(each.mass_ratio for each in moved),
    }


def _maps(made: Tensor, truth: Tensor, sample_rate: int, *grid: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Energy maps of every moment in which there is something to hear, made and true."""
    size = min(round(MOMENT * sample_rate), truth.shape[-1])
    moments = [each.unfold(-1, size, size).movedim(-2, 0) for each in (made, truth)]
    found, true = (energy_towards(each, *grid) for each in moments)
    return [(found[index], true[index]) for index, each in enumerate(moments[1]) if each.any()]


def _average(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else math.nan
