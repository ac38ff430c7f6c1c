"""Draws of a split as frozen encoders see and hear them; each is computed once."""

# B clips, R draws of a window, K crops, N draws of a split, V and A embedding widths

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from lightning_fabric import Fabric
from torch import Tensor

from avssl.data.clip import Clip
from avssl.data.crops import draw_crops, draw_rotation
from avssl.data.loader import Batches
from avssl.datasets.manifest import Manifest
from avssl.errors import InputError
from avssl.io.progress import track
from avssl.models.encoders import Encoders
from avssl.models.geometry import resolved
from avssl.spatial.ambisonics import rotate
from avssl_downstream.correspondence.options import CorrespondenceOptions

WINDOWS = 16
"""Windows in one pass through the towers."""


class PairSampler(NamedTuple):
    """Frozen embeddings of a split."""

    video: Tensor
    """`(N, K, V)` of the crops."""
    aligned: Tensor
    """`(N, K, A)` of the sound turned to each crop."""
    rotated: Tensor
    """`(N, K, A)` of the same after the clip's sound was turned away as a whole."""
    angle: Tensor
    """`(N,)` radians of that turn."""
    clip: Tensor
    """`(N,)` place of the clip in its split."""

    def predicted(self, audio_of_frames: Callable[[Tensor], Tensor]) -> PairSampler:
        """Draws with what is made of the pictures `(N, K, V)` instead of them."""
        with torch.inference_mode():
            return self._replace(video=audio_of_frames(self.video.float()))

    def single(self) -> PairSampler:
        """Every crop as a draw of its own."""
        crops = self.video.shape[1]
        parts = [each.flatten(0, 1).unsqueeze(1) for each in self[:3]]
        return PairSampler(parts[0], parts[1], parts[2], *(each.repeat_interleave(crops) for each in self[3:]))


@dataclass(frozen=True)
class WindowCrops:
    """Turns one window of a clip into draws; runs in a loader process."""

    options: CorrespondenceOptions
    places: dict[str, int]
    """Key of a clip -> its place in the split."""

    def __call__(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """The views of one window.

        Returns:
            `frames` uint8 `(R, K, time, 3, size, size)`, `audio` `(4, samples)`, `rotation` `(R, 2, K, 3, 3)` to each
            crop without and with the misalignment, `angle` `(R,)`, `clip` `()`.

        Raises:
            InputError: the clip's sound is not ambiX of order 1.
        """
        if len(clip.audio) != 4:
            raise InputError(f"{clip.key}: ambiX sound of order 1 has 4 channels, this has {len(clip.audio)}")
        crops = [draw_crops(self.options, rng, objects=clip.objects) for _ in range(self.options.per_window)]
        turns = torch.stack([draw_misalignment(self.options, rng) for _ in crops])
        to_front = torch.stack([each.to_front() for each in crops])
        return {
            "frames": torch.stack([each.frames(clip.frames, resolved(self.options.size)) for each in crops]),
            "audio": clip.audio,
            "rotation": torch.stack([to_front, to_front @ turns[:, None]], 1),
            "angle": _angle(turns),
            "clip": torch.tensor(self.places[clip.key]),
        }


def draw_misalignment(options: CorrespondenceOptions, rng: np.random.Generator) -> Tensor:
    """A random rotation `(3, 3)` by no less than the least angle."""
    while True:
        turn = draw_rotation(options.misalignment, rng)
        if _angle(turn) >= math.radians(options.least_misalignment):
            return turn


def embed(
    encoders: Encoders, manifest: Manifest, options: CorrespondenceOptions, draws: int, fabric: Fabric, title: str
) -> PairSampler:
    """Embed so many draws of each clip; a progress bar shows how far it is.

    Args:
        encoders: frozen; in evaluation mode, on the fabric's device.
        manifest: the clips of one split.
        options: crops, windows, misalignment.
        draws: of each clip, at least.
        fabric: device and precision.
        title: of the bar.
    """
    views = WindowCrops(options, {row.key: place for place, row in enumerate(manifest)})
    batches = Batches(manifest, views, options.data(), encoders.sample_rate, options.seed)
    steps = len(manifest) * math.ceil(draws / options.per_window)
    bar = track(batches.between(0, steps), title, "batches", steps)
    parts = list(_embedded(encoders, _together(bar, WINDOWS), fabric))
    return PairSampler(*(torch.cat(each) for each in zip(*parts, strict=True)))


@torch.inference_mode()
def _embedded(encoders: Encoders, batches: Iterable[dict[str, Tensor]], fabric: Fabric) -> Iterator[PairSampler]:
    for batch in batches:
        batch = fabric.to_device(batch)
        _, draws, _, crops, _, _ = batch["rotation"].shape
        with fabric.autocast():
            video = encoders.video(rearrange(batch["frames"], "B R K ... -> (B R K) ..."))
            waveform = rotate(batch["audio"][:, None], rearrange(batch["rotation"], "B R two K i j -> B (two R K) i j"))
            audio = encoders.audio(rearrange(waveform, "B views C samples -> (B views) C samples"))
        audio = rearrange(audio, "(B two R K) A -> two (B R) K A", two=2, R=draws, K=crops)
        yield PairSampler(
            rearrange(video, "(N K) V -> N K V", K=crops).cpu(),
            audio[0].cpu(),
            audio[1].cpu(),
            batch["angle"].flatten().cpu(),
            batch["clip"].repeat_interleave(draws).cpu(),
        )


def _together(batches: Iterable[dict[str, Tensor]], count: int) -> Iterator[dict[str, Tensor]]:
    """Batches joined by so many; the last may be of fewer."""
    waiting = iter(batches)
    while some := list(islice(waiting, count)):
        yield {name: torch.cat([each[name] for each in some]) for name in some[0]}


def _angle(turns: Tensor) -> Tensor:
    """Angle of rotations `(..., 3, 3)` in radians; by the sine of its half, exact for small ones."""
    sine = torch.linalg.matrix_norm(turns - torch.eye(3).to(turns)) / math.sqrt(8)
    return 2 * torch.asin(sine.clamp(max=1))
