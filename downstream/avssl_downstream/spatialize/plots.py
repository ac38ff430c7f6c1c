"""Figures of a generator's output for held-out clips: spectrograms, masks, activation maps."""

# C channels, F frequency bins and T frames of a spectrogram

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from avssl.datasets.manifest import Manifest, Row
from avssl.io.atomic import replacing
from avssl.spatial.stft import StftConfig
from avssl_downstream.spatialize.activation_maps import activation_maps, plot_activations
from avssl_downstream.spatialize.evaluation_clips import clip_frames
from avssl_downstream.spatialize.evaluation_rows import MODEL
from avssl_downstream.spatialize.foreground import Foreground, without_background
from avssl_downstream.spatialize.frame_features import FrameFeatures, RecordedFrames
from avssl_downstream.spatialize.generator import KEPT_CHANNELS, Generator

CLIPS = 4
CHANNEL_NAMES = {2: ("left", "right"), 4: ("W", "Y", "Z", "X"), 9: ("W", "Y", "Z", "X", "V", "T", "R", "S", "U")}
RANGE_DB = 60.0
LARGEST_GAIN = 2.0
"""Maximum of a mask: a source on one side has twice the level of half of left plus right."""


class ClipPlots:
    """Plots the first few clips of an evaluation.

    Args:
        folder: takes `spatialized-KEY.png`, `mask-KEY.png` and `activation-KEY.png`.
        generator: that is evaluated, in evaluation mode.
        manifest: of the clips.
        foreground: removes the background of frames; None: as they are.
    """

    def __init__(
        self, folder: Path, generator: Generator, manifest: Manifest, foreground: Foreground | None = None
    ) -> None:
        self.folder, self.generator, self.manifest, self.left = folder, generator, manifest, CLIPS
        self.foreground = foreground

    def add(self, row: Row, outputs: dict[str, Tensor], target: Tensor) -> None:
        """Plot a clip: target, output, and output with mirrored frames, each without the mono audio."""
        if not self.left:
            return
        self.left -= 1
        name = "".join(each if each.isalnum() or each in "-_" else "_" for each in row.key)
        audio = {"target": target, "generated": outputs[MODEL]}
        if "flipped" in outputs:
            audio["mirrored frames"] = outputs["flipped"]
        with replacing(self.folder / f"spatialized-{name}.png") as part:
            plot_spectra(part, audio, outputs["mono"])
        with replacing(self.folder / f"mask-{name}.png") as part:
            plot_masks(part, audio, outputs["mono"])
        reader = without_background(self.foreground, clip_frames(row, self.manifest), (row.height, row.width))
        source = RecordedFrames(self.generator, reader, row.seconds)
        frames = FrameFeatures(self.generator, source).window_frames(row.seconds / 2)
        with replacing(self.folder / f"activation-{name}.png") as part:
            plot_activations(part, frames[len(frames) // 2], activation_maps(self.generator, frames))


def plot_spectra(path: Path, audio: dict[str, Tensor], mono: Tensor) -> None:
    """Write spectrograms of audio `(C, samples)`, in dB: a column for each entry, a row for each channel.

    Binaural audio is plotted less the mono audio; of ambisonics, input channels such as W are left out.
    """
    removed = mono if len(mono) == 2 else torch.zeros_like(mono)
    levels = {title: decibels(each - removed) for title, each in audio.items()}
    top = max(float(each[KEPT_CHANNELS[len(mono)] :].max()) for each in levels.values())
    _plot_planes(path, levels, top - RANGE_DB, top)


def plot_masks(path: Path, audio: dict[str, Tensor], mono: Tensor) -> None:
    """Write the magnitudes of the masks from mono to each audio `(C, samples)`, laid out as by `plot_spectra`."""
    _plot_planes(path, {title: mask_magnitudes(each, mono) for title, each in audio.items()}, 0.0, LARGEST_GAIN)


def mask_magnitudes(audio: Tensor, mono: Tensor) -> Tensor:
    """Spectral magnitude of each channel over that of the mono audio: `(C, F, T)`; nan where mono is below -60 dB."""
    reference = StftConfig().stft(mono).abs()
    ratio = StftConfig().stft(audio).abs() / reference.clamp(min=1e-8)
    silent = reference <= reference.max() * 10 ** (-RANGE_DB / 20)
    return ratio.masked_fill(silent, torch.nan)


def _plot_planes(path: Path, planes: dict[str, Tensor], low: float, high: float) -> None:
    """Images of planes `(C, F, T)`: a column for each entry, a row for each generated channel."""
    from matplotlib.figure import Figure

    count = len(next(iter(planes.values())))
    rows = range(KEPT_CHANNELS[count], count)
    figure = Figure(figsize=(4 * len(planes), 2.2 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(planes), squeeze=False, sharex=True, sharey=True)
    for column, (title, plane) in enumerate(planes.items()):
        for place, index in enumerate(rows):
            image = axes[place][column].imshow(plane[index], origin="lower", aspect="auto", vmin=low, vmax=high)
            axes[place][0].set_ylabel(CHANNEL_NAMES[count][index])
        axes[0][column].set_title(title)
    figure.colorbar(image, ax=axes)
    figure.savefig(path, dpi=80)


def decibels(audio: Tensor) -> Tensor:
    """Spectrogram levels, dB: `(C, F, T)`."""
    return 20 * StftConfig().stft(audio).abs().clamp(min=1e-8).log10()
