"""Example of a third-party downstream head: direction of arrival from frozen audio embeddings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import Ridge

from avssl.config import DataConfig
from avssl.data.loader import read_clip
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.head import Head
from avssl.models.encoders import Encoders


@dataclass(frozen=True)
class LocalizeOptions:
    """Options, filled from a recipe, flags such as `--seconds 2`, and `--set`."""

    manifest: str = ""
    """Manifest, or its folder, with clips of the splits train and test whose direction is known; flag `--data`."""
    seconds: float = 1.0
    """Seconds of audio of each clip."""
    strength: float = 1.0
    """Regularization of the ridge regression."""


class Localize(Head):
    """Sound source localization: azimuth by ridge regression on frozen audio embeddings."""

    Options = LocalizeOptions
    options: LocalizeOptions

    def __init__(self, encoders: Encoders, options: LocalizeOptions) -> None:
        super().__init__(encoders, options)
        if not options.manifest:
            raise InputError("expected a manifest.parquet or its folder (--data), got none")

    def fit(self, folder: Path) -> dict[str, float]:
        """Fit on the split train, evaluate on the split test, and write the weights to `localize.npz`.

        Returns:
            `error`: mean absolute error of the azimuth in degrees; `error_chance`: that of the mean direction.
        """
        train, test = (read_manifest(self.options.manifest, split) for split in ("train", "test"))
        model = Ridge(alpha=self.options.strength).fit(self._embed(train), _vectors(train))
        np.savez(folder / "localize.npz", weights=model.coef_, bias=model.intercept_)
        chance = np.tile(_vectors(train).mean(0), (len(test), 1))
        return {"error": _error(model.predict(self._embed(test)), test), "error_chance": _error(chance, test)}

    @torch.no_grad()
    def _embed(self, clips: Manifest) -> np.ndarray:
        """Embeddings `(clips, width)` of the first seconds of each clip."""
        self.encoders.eval()
        rate = self.encoders.sample_rate
        reading = DataConfig(seconds=self.options.seconds, frames=1)
        waveforms = [read_clip(row, clips.root, reading, rate).audio for row in clips]
        return torch.cat([self.encoders.audio(audio[None]) for audio in waveforms]).double().numpy()


def _vectors(clips: Manifest) -> np.ndarray:
    """Unit vectors `(clips, 2)` of the azimuths in the manifest: x to the front, y to the left."""
    azimuths = np.radians([row.azimuth for row in clips.rows])
    return np.stack([np.cos(azimuths), np.sin(azimuths)], 1)


def _error(vectors: np.ndarray, clips: Manifest) -> float:
    """Mean absolute error of the azimuth in degrees."""
    predicted, expected = (np.arctan2(each[:, 1], each[:, 0]) for each in (vectors, _vectors(clips)))
    return float(np.degrees(np.abs((predicted - expected + np.pi) % (2 * np.pi) - np.pi)).mean())
