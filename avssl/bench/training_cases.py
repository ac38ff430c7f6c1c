"""Benchmark of training steps of `avsa`: loading a batch, and the features and towers of a step, against plain ones.

The plain sides decode every frame, open every sound file, rotate waveforms before their features, and run the small
towers' layers as described, one after the other. Both sides give the same batches, and the same embeddings and
gradients up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.bench.case import Case, Result, Size, largest
from avssl.bench.timing import threads
from avssl.config import DataConfig, FeatureConfig, ModelConfig
from avssl.data.clip_options import CropOptions
from avssl.data.crops import draw_crops
from avssl.data.loader import read_clip
from avssl.datasets.manifest import Row, read_manifest
from avssl.media import close_all
from avssl.media.frame_store import FrameStore
from avssl.models.encoders import Encoders
from avssl.models.small import SmallAudio, SmallVideo
from avssl.models.two_threads import both, two_threads
from avssl.spatial.ambisonics import rotate
from avssl.synth.synth360 import Synth360

FEATURES = FeatureConfig("foa-iv", n_fft=512, hop=480, mels=64)
CROPS = CropOptions(crops=4, size=64, min_fov=90, max_fov=100, aspect=1, min_separation=75)
DATA = DataConfig(seconds=1, frames=1, frame_rate=16)
CLIPS = 32
"""Clips of a batch at most, as in the recipe avsa/small."""


def step_cases(size: Size, folder: Path) -> list[Case]:
    """Features, towers and backward pass of a step, of `size.clips` clips at most."""
    clips, generator = min(CLIPS, size.clips), torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    encoders = Encoders(ModelConfig("small"), FEATURES).train()
    frames = torch.randint(0, 256, (clips * 4, 1, 3, 64, 64), dtype=torch.uint8, generator=generator)
    audio = 0.1 * torch.randn(clips, 4, FEATURES.sample_rate, generator=generator)
    turns = torch.linalg.qr(torch.randn(clips, 4, 3, 3, generator=generator)).Q
    weights = torch.randn(2, clips * 4, encoders.video_width, generator=generator)
    args = encoders, frames, audio, turns
    ours, peer = (_with_gradients(encoders, partial(side, *args), weights) for side in (_ours, _plain))
    return [Case("step", "waveforms rotated, plain layers, one thread", ours, peer, 0.05, largest)]


def _ours(encoders: Encoders, frames: Tensor, audio: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
    with two_threads(True):
        return both(lambda: encoders.video(frames), lambda: encoders.audio(audio, turns).flatten(0, 1))


def _plain(encoders: Encoders, frames: Tensor, audio: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
    maps = encoders.features(rotate(audio[:, None], turns).flatten(0, 1)).contiguous(memory_format=torch.channels_last)
    pixels = frames.movedim(-3, -1).contiguous()
    images = ((pixels - encoders.video.mean) * encoders.video.scale).movedim(-1, 1)
    video, sound = encoders.video.tower, encoders.audio.tower
    assert isinstance(video, SmallVideo)
    assert isinstance(sound, SmallAudio)
    return plain_video(video, images).float(), plain_audio(sound, maps).float()


def plain_video(tower: SmallVideo, x: Tensor) -> Tensor:
    """Embeddings of frames `(clips, 3, time, height, width)` by the layers of the tower's description."""
    clips = len(x)
    x = tower.stages[:4](rearrange(x, "B C T H W -> (B T) C H W"))
    maps = rearrange(x, "(B T) C H W -> B T C H W", B=clips)
    change = torch.cat([maps[:, 1:], maps[:, -1:]], 1) - torch.cat([maps[:, :1], maps[:, :-1]], 1)
    x = tower.stages[4:](functional.relu(x + tower.difference(change.flatten(0, 1))))
    cells = rearrange(functional.adaptive_avg_pool2d(x, tower.grid), "(B T) C H W -> B C T (H W)", B=clips)
    motion = functional.relu(tower.motion_bn(tower.motion(cells)))
    embedding: Tensor = tower.norm(tower.out((cells + motion).mean(2).flatten(1)))
    return embedding


def plain_audio(tower: SmallAudio, x: Tensor) -> Tensor:
    """Embeddings of spectrograms by the layers of the tower's description."""
    x = tower.stages(x)
    pooled = functional.adaptive_avg_pool1d(torch.cat([x.mean(2), x.amax(2)], 1), tower.bands)
    embedding: Tensor = tower.norm(tower.out(pooled.flatten(1)))
    return embedding


def _with_gradients(
    network: nn.Module, forward: Callable[[], tuple[Tensor, Tensor]], weights: Tensor
) -> Callable[[], Result]:
    """Embeddings of a step in bfloat16, and one gradient of each tower; batch statistics move alike on both sides."""

    def step() -> Result:
        network.zero_grad()
        with threads(1):
            with torch.autocast("cpu", torch.bfloat16):
                outputs = forward()
            (torch.stack(outputs) * weights).sum().backward()  # type: ignore[no-untyped-call]
        gradients = [each.grad for each in network.parameters() if each.grad is not None and each.ndim == 2]
        return *(each.detach() for each in outputs), *gradients

    return step


def load_cases(size: Size, folder: Path) -> list[Case]:
    """Clips and crops of one batch, each of a video that was read before, but not just now."""
    clips = min(CLIPS, size.clips)
    options = Synth360.Options(clips=clips, seconds=2, sample_rate=FEATURES.sample_rate)
    manifest = read_manifest(Synth360(options).render(folder / "scenes", progress=False))
    videos = frozenset(str(manifest.root / row.video) for row in manifest)
    store = FrameStore(folder / "frames", videos)
    side = partial(_batch, manifest.rows, manifest.root)
    return [Case("load", "frames decoded, files reopened", partial(side, store), partial(side, None), 0.0, largest)]


def _batch(rows: Sequence[Row], root: Path, store: FrameStore | None) -> Result:
    clips = []
    for index, row in enumerate(rows):
        rng = np.random.default_rng(index)
        if store is None:
            close_all()
        clip = read_clip(row, root, DATA, FEATURES.sample_rate, rng, store=store)
        clips.append((draw_crops(CROPS, rng).frames(clip.frames, CROPS.size), clip.audio))
    return tuple(torch.stack(each) for each in zip(*clips, strict=True))
