"""Every distance between a predicted and a true sound at once, block by block, with memory that does not grow."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.spatial.direction_error import SECONDS, moments, weighted
from avssl.spatial.distances import (
    BINAURAL,
    complex_error,
    envelope,
    floor,
    log_error,
    magnitude_error,
    phase_error,
    ratio_db,
    require_same,
)
from avssl.spatial.energy import POINTS, emd, energy_towards, equal_area_grid
from avssl.spatial.interaural import SECONDS as EAR_SECONDS
from avssl.spatial.interaural import interaural_moments
from avssl.spatial.spectrum import StftConfig
from avssl.spatial.streamed import Spectra, Stretches

EMD_SECONDS = 1.0
"""Length of a moment whose energy maps are compared."""
ENVELOPE_SECONDS, MARGIN = 10.0, 1.0
"""Length of a stretch whose envelope is found, and what it sees on either side: within 1e-3 of the whole's."""


class DistanceMeter:
    """Sums over the blocks of a predicted and a true sound; the results are those of `avssl.spatial.distances`.

    For two channels the differences between the ears are compared too, for four (ambiX) direction and energy maps.

    Args:
        sample_rate: Hz.
        spectrum: sizes of the windows.
        energy_maps: whether to compare energy maps: some 20 ms a second of sound.
    """

    def __init__(self, sample_rate: int, spectrum: StftConfig = BINAURAL, *, energy_maps: bool = True) -> None:
        self.sample_rate, self.energy_maps = sample_rate, energy_maps
        self.channels, self.samples = 0, 0
        self.least = floor(spectrum)
        self.sums: dict[str, Tensor] = {}
        self.spectra = Spectra(spectrum)
        self.columns = 0
        rate = sample_rate
        self.stretches = {
            "envelope": Stretches(round(ENVELOPE_SECONDS * rate), round(MARGIN * rate)),
            "ears": Stretches(round(EAR_SECONDS * rate)),
            "direction": Stretches(round(SECONDS * rate)),
            "map": Stretches(round(EMD_SECONDS * rate)),
        }
        self.moments: dict[str, list[Tensor]] = {}

    def add(self, predicted: Tensor, target: Tensor) -> None:
        """Hear the next block of both, each `(channels, samples)`.

        Raises:
            ValueError: shapes that differ, or another number of channels than before.
        """
        require_same(predicted, target)
        if predicted.ndim != 2 or (self.channels and len(predicted) != self.channels):
            raise ValueError(f"expected blocks ({self.channels or 'channels'}, samples), got {tuple(predicted.shape)}")
        self.channels, self.samples = len(predicted), self.samples + predicted.shape[1]
        both = torch.stack([predicted, target]).float()
        self._sum("wrong", (both[0] - both[1]).double().square().sum())
        self._sum("wanted", both[1].double().square().sum())
        self._hear_columns(self.spectra.add(both))
        for name in self._wanted():
            self._hear_stretch(name, self.stretches[name].add(both))

    def result(self) -> dict[str, float]:
        """All distances by name, once, after the last block; those that papers sum over channels are summed.

        `stft`, `mag`, `published_mag`, `env`, `snr` (dB), `log_spectral` (dB, mean over channels); of two channels
        `phase` (radians), `level_error` (dB), `time_error` (microseconds), `interaural_phase_error` (radians); of four
        `direction_error`, `emd` (degrees) and `emd_mass_ratio`. What has no value, as in silence, is nan.

        Raises:
            ValueError: there was less sound than a window.
        """
        self._hear_columns(self.spectra.finish())
        self._hear_stretch("envelope", self.stretches["envelope"].finish())
        mean = {name: self.sums[name] / self.columns for name in ("stft", "mag", "log", "phase") if name in self.sums}
        found = {
            "stft": mean["stft"].sum(),
            "mag": mean["mag"].sum(),
            "published_mag": 2 * mean["stft"].sum(),
            "env": (self.sums["env"] / self.samples).sqrt().sum(),
            "snr": ratio_db(self.sums["wanted"], self.sums["wrong"]),
            "log_spectral": mean["log"].mean(),
        }
        if "phase" in mean:
            found["phase"] = mean["phase"]
        return {name: float(value) for name, value in (found | self._over_moments()).items()}

    def _wanted(self) -> list[str]:
        maps = ["map"] if self.energy_maps else []
        return ["envelope", *{2: ["ears"], 4: ["direction", *maps]}.get(self.channels, [])]

    def _hear_columns(self, both: Tensor | None) -> None:
        if both is None:
            return
        predicted, target = both.unbind()
        self.columns += both.shape[-1]
        self._sum("stft", complex_error(predicted, target).double().sum(-1))
        self._sum("mag", magnitude_error(predicted, target).double().sum(-1))
        self._sum("log", log_error(predicted, target, self.least).double().sum(-1))
        if self.channels == 2:
            self._sum("phase", phase_error(predicted, target).double().sum(-1))

    def _hear_stretch(self, name: str, both: Tensor | None) -> None:
        if both is None:
            return
        predicted, target = both.unbind()
        if name == "envelope":
            margin = self.stretches[name].margin
            one, other = envelope(both)[..., margin : both.shape[-1] - margin]
            self._sum("env", (one - other).double().square().sum(-1))
        elif name == "ears":
            apart, energy = interaural_moments(predicted, target, self.sample_rate)
            self._note(name, torch.stack([*apart, energy]))
        elif name == "direction":
            self._note(name, torch.stack(moments(predicted, target, self.sample_rate)))
        else:
            size = self.stretches[name].size
            self._note(name, torch.stack([_mapped(*each) for each in both.unfold(-1, size, size).unbind(-2)], -1))

    def _sum(self, name: str, value: Tensor) -> None:
        self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value

    def _note(self, name: str, rows: Tensor) -> None:
        self.moments.setdefault(name, []).append(rows)

    def _over_moments(self) -> dict[str, Tensor]:
        """Means over the moments that are not quiet, by the target's energy."""
        names = {
            "ears": (("level_error", 1.0), ("time_error", 1e6), ("interaural_phase_error", 1.0)),
            "direction": (("direction_error", 1.0),),
            "map": (("emd", 1.0), ("emd_mass_ratio", 1.0)),
        }
        found = {}
        for kind in self._wanted()[1:]:
            nothing = torch.zeros(len(names[kind]) + 1, 0)
            *values, energy = torch.cat([nothing, *self.moments.get(kind, [])], -1)
            for (name, scale), rows in zip(names[kind], values, strict=True):
                found[name] = scale * weighted(rows, energy) if rows.numel() else torch.tensor(math.nan)
        return found


def _mapped(predicted: Tensor, target: Tensor) -> Tensor:
    """Distance in degrees, ratio of masses and the target's energy for one moment: `(3,)`; without sound no energy."""
    grid = equal_area_grid(POINTS)
    energy = target.square().sum()
    if not energy > 0:
        return torch.zeros(3)
    level = energy_towards(predicted, *grid) if bool(predicted.any()) else torch.zeros(POINTS)
    # A field without sound is as loud in every direction.
    apart = emd(level if bool(level.any()) else torch.ones(POINTS), energy_towards(target, *grid))
    return torch.stack([torch.tensor(apart.degrees), apart.mass_ratio * level.any(), energy])
