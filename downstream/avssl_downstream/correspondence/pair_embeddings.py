"""Frozen embeddings of audio-visual pairs, aligned and misaligned, of the clips of a split."""

# B clips, R draws of a window, K crops, N pairs of a split, V and A embedding widths

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
from avssl.evaluation.crop_references import half_fields
from avssl.evaluation.scene_views import INDEX, TIME, IndexedViews, without_index
from avssl.io.progress import track
from avssl.models.encoders import Encoders
from avssl.models.geometry import resolved
from avssl_downstream.correspondence.options import CorrespondenceOptions

WINDOWS = 16
"""Windows in one pass through the towers."""
PREDICTED = 1024
"""Pairs in one pass through a transformer."""


class PairViews(NamedTuple):
    """Placement of the crops of the pairs of a split, by which ground truth is found."""

    to_front: Tensor
    """`(N, K, 3, 3)`: from the clip's axes to those of each crop, as the aligned sound field is rotated."""
    misaligned: Tensor
    """`(N, K, 3, 3)`: the same of the misaligned sound field."""
    lens: Tensor
    """`(N, K, 2)`: half fields of view, horizontal and vertical, radians."""
    time: Tensor
    """`(N,)`: seconds from the clip's beginning to the middle of the frames."""

    def single_crops(self) -> PairViews:
        """Placement of the pairs of one crop each: `(N K, 1, ...)`."""
        parts = [each.flatten(0, 1).unsqueeze(1) for each in self[:3]]
        return PairViews(parts[0], parts[1], parts[2], self.time.repeat_interleave(self.lens.shape[1]))


class PairEmbeddings(NamedTuple):
    """Frozen embeddings of the pairs of a split."""

    video: Tensor
    """`(N, K, V)`: embeddings of the crops."""
    aligned: Tensor
    """`(N, K, A)`: embeddings of the audio, rotated to each crop's view direction."""
    rotated: Tensor
    """`(N, K, A)`: as `aligned`, with the clip's sound field misaligned first."""
    angle: Tensor
    """`(N,)`: angle of the misalignment in radians."""
    clip: Tensor
    """`(N,)`: index of the clip in its split."""
    views: PairViews | None = None
    """Placement of the crops; None: unknown."""
    guided: Tensor | None = None
    """`(N, K)` bool: crops that objects guide, the others are random; None: unknown."""

    def with_predictions(self, predict_audio: Callable[[Tensor, Tensor | None], Tensor]) -> PairEmbeddings:
        """Pairs with `video` `(N, K, V)` replaced by audio embeddings, predicted from it and `rotation`."""
        chunks = [slice(start, start + PREDICTED) for start in range(0, len(self.video), PREDICTED)]
        with torch.inference_mode():
            parts = [
                predict_audio(self.video[chunk].float(), None if self.rotation is None else self.rotation[chunk])
                for chunk in chunks
            ]
            return self._replace(video=torch.cat(parts))

    @property
    def rotation(self) -> Tensor | None:
        """`(N, K, 3, 3)` rotations of the aligned sound field to the crops; None: unknown."""
        return None if self.views is None else self.views.to_front

    def spread(self, most: int) -> PairEmbeddings:
        """At most as many pairs, spread evenly over the split."""
        count = min(len(self.clip), most)
        chosen = torch.arange(count) * len(self.clip) // count
        views = None if self.views is None else PairViews(*(each[chosen] for each in self.views))
        guided = None if self.guided is None else self.guided[chosen]
        video, aligned, rotated, angle, clip = (each[chosen] for each in self[:5])
        return PairEmbeddings(video, aligned, rotated, angle, clip, views, guided)

    def single_crops(self) -> PairEmbeddings:
        """Pairs of one crop each: `(N K, 1, ...)`."""
        crops = self.video.shape[1]
        parts = [each.flatten(0, 1).unsqueeze(1) for each in self[:3]]
        angle, clip = (each.repeat_interleave(crops) for each in (self.angle, self.clip))
        views = self.views.single_crops() if self.views else None
        guided = None if self.guided is None else self.guided.flatten()[:, None]
        return PairEmbeddings(parts[0], parts[1], parts[2], angle, clip, views, guided)


@dataclass(frozen=True)
class WindowCrops:
    """Crops and rotations of one window of a clip; runs in a loader process."""

    options: CorrespondenceOptions

    def __call__(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw the crops and misalignments of one window.

        Returns:
            `frames` uint8 `(R, K, time, 3, size, size)`, `audio` `(4, samples)`, `rotation` `(R, 2, K, 3, 3)` to each
            crop without and with misalignment, `lens` `(R, K, 2)`, `guided` bool `(R, K)`, `angle` `(R,)`.

        Raises:
            InputError: the clip's audio is not ambiX of order 1.
        """
        if len(clip.audio) != 4:
            raise InputError(
                f"{clip.key}: expected ambiX audio of order 1 (4 channels), got {len(clip.audio)} channels"
            )
        crops = [draw_crops(self.options, rng, objects=clip.objects) for _ in range(self.options.per_window)]
        misalignment = torch.stack([sample_misalignment(self.options, rng) for _ in crops])
        to_front = torch.stack([each.to_front() for each in crops])
        return {
            "frames": torch.stack([each.frames(clip.frames, resolved(self.options.size)) for each in crops]),
            "audio": clip.audio,
            "rotation": torch.stack([to_front, to_front @ misalignment[:, None]], 1),
            "lens": torch.stack([half_fields(each) for each in crops]),
            "guided": torch.stack([each.guides >= 0 for each in crops]),
            "angle": _angle(misalignment),
        }


def sample_misalignment(options: CorrespondenceOptions, rng: np.random.Generator) -> Tensor:
    """Random rotation `(3, 3)` by at least `options.min_misalignment`."""
    while True:
        rotation = draw_rotation(options.misalignment, rng)
        if _angle(rotation) >= math.radians(options.min_misalignment):
            return rotation


def embed_pairs(
    encoders: Encoders, manifest: Manifest, options: CorrespondenceOptions, draws: int, fabric: Fabric, title: str
) -> PairEmbeddings:
    """Embed random pairs of each clip, with a progress bar.

    Args:
        encoders: in evaluation mode, on the fabric's device.
        manifest: the clips of one split.
        options: crops, windows, misalignment.
        draws: pairs of each clip, at least.
        fabric: device and precision.
        title: of the progress bar.
    """
    views = IndexedViews.of(WindowCrops(options), manifest, options.data())
    batches = Batches(manifest, views, options.data(), encoders.sample_rate, options.seed)
    steps = len(manifest) * math.ceil(draws / options.per_window)
    bar = track(batches.between(0, steps), title, "batches", steps)
    parts = zip(*_embedded(encoders, _joined(bar, WINDOWS), fabric), strict=True)
    video, aligned, rotated, angle, clip, guided, *placement = (torch.cat(each) for each in parts)
    return PairEmbeddings(video, aligned, rotated, angle, clip, PairViews(*placement), guided)


@torch.inference_mode()
def _embedded(encoders: Encoders, batches: Iterable[dict[str, Tensor]], fabric: Fabric) -> Iterator[tuple[Tensor, ...]]:
    """Tensors of `PairEmbeddings`, then those of `PairViews`, of some windows."""
    for known in batches:
        batch = fabric.to_device(without_index(known))
        _, draws, _, crops, _, _ = batch["rotation"].shape
        with fabric.autocast():
            video = encoders.video(rearrange(batch["frames"], "B R K ... -> (B R K) ..."))
            audio = encoders.audio(batch["audio"], rearrange(batch["rotation"], "B R two K i j -> B (two R K) i j"))
        audio = rearrange(audio, "B (two R K) A -> two (B R) K A", two=2, R=draws, K=crops)
        yield (
            rearrange(video, "(N K) V -> N K V", K=crops).cpu(),
            audio[0].cpu(),
            audio[1].cpu(),
            known["angle"].flatten(),
            known[INDEX].repeat_interleave(draws),
            known["guided"].flatten(0, 1),
            *(known["rotation"][:, :, side].flatten(0, 1) for side in (0, 1)),
            known["lens"].flatten(0, 1),
            known[TIME].repeat_interleave(draws),
        )


def _joined(batches: Iterable[dict[str, Tensor]], count: int) -> Iterator[dict[str, Tensor]]:
    """Join every `count` batches; the last may be of fewer."""
    remaining = iter(batches)
    while group := list(islice(remaining, count)):
        yield {name: torch.cat([each[name] for each in group]) for name in group[0]}


def _angle(rotations: Tensor) -> Tensor:
    """Angle of rotations `(..., 3, 3)` in radians, by the sine of its half, which is exact for small ones."""
    sine = torch.linalg.matrix_norm(rotations - torch.eye(3).to(rotations)) / math.sqrt(8)
    return 2 * torch.asin(sine.clamp(max=1))
