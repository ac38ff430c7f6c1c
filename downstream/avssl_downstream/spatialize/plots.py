"""Pictures of what a generator made of held-out clips."""

# C channels, F rows and T columns of a spectrum

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from avssl.data.atomic import replacing
from avssl.datasets.manifest import Manifest, Row
from avssl.spatial.stft import StftConfig
from avssl_downstream.spatialize.activation_maps import activation_maps, plot_activations
from avssl_downstream.spatialize.evaluate import MODEL
from avssl_downstream.spatialize.evaluation_clips import clip_frames
from avssl_downstream.spatialize.frame_features import FrameFeatures
from avssl_downstream.spatialize.generator import GIVEN, Generator

CLIPS = 4
NAMES = {2: ("left", "right"), 4: ("W", "Y", "Z", "X"), 9: ("W", "Y", "Z", "X", "V", "T", "R", "S", "U")}
RANGE_DB = 60.0
MOST = 2.0
"""Of a mask: all of a source on one side is twice the mono sound, half of left plus right."""


class ClipPlots:
    """Draws the first few clips.

    Args:
        folder: takes `spatialized-KEY.png`, `mask-KEY.png` and `activation-KEY.png`.
        generator: whose sound they are of, in evaluation mode when it is measured.
        manifest: whose clips.
    """

    def __init__(self, folder: Path, generator: Generator, manifest: Manifest) -> None:
        self.folder, self.generator, self.manifest, self.left = folder, generator, manifest, CLIPS

    def add(self, row: Row, made: dict[str, Tensor], truth: Tensor) -> None:
        """Draw a clip: the truth, what was made, and what was made of flipped pictures; without the mono sound."""
        if not self.left:
            return
        self.left -= 1
        name = "".join(each if each.isalnum() or each in "-_" else "_" for each in row.key)
        waveforms = {"true": truth, "made": made[MODEL], "flipped picture": made["flipped"]}
        with replacing(self.folder / f"spatialized-{name}.png") as part:
            plot_spectra(part, waveforms, made["mono"])
        with replacing(self.folder / f"mask-{name}.png") as part:
            plot_masks(part, waveforms, made["mono"])
        frames = FrameFeatures(self.generator, clip_frames(row, self.manifest), row.seconds).frames(row.seconds / 2)
        with replacing(self.folder / f"activation-{name}.png") as part:
            plot_activations(part, frames[len(frames) // 2], activation_maps(self.generator, frames))


def plot_spectra(path: Path, waveforms: dict[str, Tensor], mono: Tensor) -> None:
    """Spectra of sounds `(C, samples)` less the mono sound: a column a sound, a row a channel; in dB.

    Of a field, what was given is left out, such as W.
    """
    given = mono if len(mono) == 2 else torch.zeros_like(mono)
    levels = {title: decibels(audio - given) for title, audio in waveforms.items()}
    top = max(float(each[GIVEN[len(mono)] :].max()) for each in levels.values())
    _draw_planes(path, levels, top - RANGE_DB, top)


def plot_masks(path: Path, waveforms: dict[str, Tensor], mono: Tensor) -> None:
    """Magnitudes of the masks that make sounds `(C, samples)` of the mono sound, laid out as by `plot_spectra`."""
    _draw_planes(path, {title: mask_magnitudes(audio, mono) for title, audio in waveforms.items()}, 0.0, MOST)


def mask_magnitudes(audio: Tensor, mono: Tensor) -> Tensor:
    """Magnitude of the spectrum of each channel over that of the mono sound: `(C, F, T)`; nan where that is faint."""
    given = StftConfig().stft(mono).abs()
    ratio = StftConfig().stft(audio).abs() / given.clamp(min=1e-8)
    faint = given <= given.max() * 10 ** (-RANGE_DB / 20)
    return ratio.masked_fill(faint, torch.nan)


def _draw_planes(path: Path, planes: dict[str, Tensor], low: float, high: float) -> None:
    """Planes `(C, F, T)` in colours: a column each, a row a channel that is not given."""
    from matplotlib.figure import Figure

    count = len(next(iter(planes.values())))
    rows = range(GIVEN[count], count)
    figure = Figure(figsize=(4 * len(planes), 2.2 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(planes), squeeze=False, sharex=True, sharey=True)
    for column, (title, plane) in enumerate(planes.items()):
        for place, index in enumerate(rows):
            shown = axes[place][column].imshow(plane[index], origin="lower", aspect="auto", vmin=low, vmax=high)
            axes[place][0].set_ylabel(NAMES[count][index])
        axes[0][column].set_title(title)
    figure.colorbar(shown, ax=axes)
    figure.savefig(path, dpi=80)


def decibels(audio: Tensor) -> Tensor:
    """Levels of the spectrum of a sound: `(C, F, T)`."""
    return 20 * StftConfig().stft(audio).abs().clamp(min=1e-8).log10()
