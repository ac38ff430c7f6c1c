"""Training of a generator: training and held-out clips, mixed batches, the fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from avssl import plugins
from avssl.config import DataConfig, OptimConfig
from avssl.data.clip_filter import filter_clips
from avssl.data.loader import Batches
from avssl.datasets.listed_splits import split_by_lists
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.synth.dataset_base import load_synthetic_dataset
from avssl.train import data_source
from avssl.train.loop import fit
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.networks.audio_branch import AudioBranch
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch
from avssl_downstream.spatialize.options import SpatializeOptions

T = TypeVar("T")
WORLD_FRAME_RATE = 10.0
"""Hz, of frames of a synthetic dataset, unless a generator needs more."""
SHARE_SEED = 0
"""Seed of the choice of training clips by `train_share`: the same for all runs."""


class MixedBatches:
    """Batches that are each concatenated from several streams of batches.

    Args:
        streams: at least one.
    """

    def __init__(self, streams: list[Batches]) -> None:
        self.streams = streams
        self.workers = sum(each.workers for each in streams)

    def between(self, start: int, stop: int) -> Iterator[dict[str, Tensor]]:
        """Batches of steps `start` to `stop - 1`; closing the iterator ends all loader processes."""
        with ExitStack() as stack:
            parts = [stack.enter_context(closing(each.between(start, stop))) for each in self.streams]
            for batches in zip(*parts, strict=True):
                yield {name: torch.cat([each[name] for each in batches]) for name in batches[0]}


def training_manifests(generator: Generator, options: SpatializeOptions) -> tuple[Manifest, Manifest, Manifest]:
    """Training clips, additional ones (maybe none), and held-out ones; synthetic datasets are rendered.

    Raises:
        InputError: an invalid manifest, no clip of the split, all clips rejected by the generator, or none that has
            what its options need.
    """
    whole = _listed(_clips(generator, options, options.manifest), options)
    held_out = _held_out(whole, options)
    further = replace(whole, rows=())
    if options.augment:
        further = filter_clips(data_source.training(_further_clips(generator, options)), generator)
    training = _share(filter_clips(data_source.training(whole), generator), options.train_share)
    generator.check_training([training, further])
    return training, further, filter_clips(held_out, generator)


def evaluation_manifests(generator: Generator, options: SpatializeOptions) -> tuple[Manifest, Manifest]:
    """Training clips (maybe none) and evaluation clips: those of the split, or all without a named or labelled split.

    Raises:
        InputError: an invalid manifest, no clip of the split, or all clips rejected by the generator.
    """
    whole = _listed(read_manifest(options.manifest), options)
    if not options.split or not any(row.split for row in whole):
        return replace(whole, rows=()), filter_clips(whole, generator)
    training = whole.select("train")
    held_out = filter_clips(_held_out(whole, options), generator)
    return filter_clips(training, generator), held_out


def train(
    generator: Generator,
    training: Manifest,
    further: Manifest,
    options: SpatializeOptions,
    folder: Path,
    fabric: Fabric,
) -> dict[str, float]:
    """Train a generator; a run that the folder holds is continued.

    Returns:
        The metrics of `avssl.train.loop.fit`.

    Raises:
        InputError: see `fit`.
        SystemExit: with code 0, after saving, on SIGTERM, SIGHUP or Ctrl-C.
    """
    extra = round(options.batch * (options.augment_share if len(training) else 1.0)) if len(further) else 0
    counts = ((training, options.batch - extra), (further, extra))
    streams = [_batches(generator, clips, options, count) for clips, count in counts if len(clips) and count]
    return fit(
        generator,
        MixedBatches(streams),
        options.train,
        optimizer_options(generator, options),
        folder,
        fabric=fabric,
        title=options.generator,
    )


def optimizer_options(generator: Generator, options: SpatializeOptions) -> OptimConfig:
    """Optimiser options with the rates of a generator's parts, and with towers of encoders that are frozen at first.

    Parts of which the user's `optim` states a multiplier, or frozen steps, keep these.
    """
    towers = [
        f"{name}.network"
        for name, each in generator.named_modules()
        if isinstance(each, VisualBranch | AudioBranch) and each.source == "encoders" and each.fine_tune
    ]

    def added(own: dict[str, T], further: dict[str, T]) -> dict[str, T]:
        return own | {name: each for name, each in further.items() if not any(name.startswith(key) for key in own)}

    optim, rate = options.optim, options.encoders_lr_multiplier
    return replace(
        optim,
        lr_multipliers=added(optim.lr_multipliers, generator.lr_multipliers | dict.fromkeys(towers, rate)),
        frozen_steps=added(optim.frozen_steps, dict.fromkeys(towers, options.encoders_frozen_steps)),
    )


def _batches(generator: Generator, clips: Manifest, options: SpatializeOptions, count: int) -> Batches:
    data = options.data(generator, count)
    return Batches(clips, generator.views_of(clips), data, generator.sample_rate, options.train.seed)


def _further_clips(generator: Generator, options: SpatializeOptions) -> Manifest:
    """All clips of `augment`."""
    if options.augment in plugins.names(plugins.SYNTHETIC_DATASETS):
        named = replace(options, synthetic_dataset=options.augment, synthetic_options=options.augment_options)
        return _clips(generator, named, "")
    return _clips(generator, options, options.augment)


def _clips(generator: Generator, options: SpatializeOptions, manifest: str) -> Manifest:
    """All clips of a manifest, or of a synthetic dataset."""
    if manifest:
        return read_manifest(manifest)
    data: DataConfig = options.data(generator, options.batch)
    _check_layout(data.synthetic_dataset, generator)  # before minutes of rendering
    rate = max(WORLD_FRAME_RATE, generator.frame_rate)
    data = replace(data, frame_rate=rate, frame_position="random")
    return data_source.clips(data, generator.sample_rate)[1]


def _check_layout(name: str, generator: Generator) -> None:
    layout = getattr(load_synthetic_dataset(name), "layout", "")
    if reason := generator.reject_layout(layout):
        raise InputError(f"synthetic_dataset={name}: {reason}")


def _listed(whole: Manifest, options: SpatializeOptions) -> Manifest:
    """Clips with the splits of `lists`, where these are named."""
    return split_by_lists(whole, Path(options.lists)) if options.lists else whole


def _held_out(whole: Manifest, options: SpatializeOptions) -> Manifest:
    chosen = whole.select(options.split)
    if not len(chosen):
        known = sorted({row.split for row in whole})
        raise InputError(f"{whole.root}: expected clips of split {options.split!r} to evaluate, got clips of {known}")
    return chosen


def _share(clips: Manifest, share: float) -> Manifest:
    """A fraction of the clips, the same ones in every run."""
    kept = np.sort(np.random.default_rng(SHARE_SEED).permutation(len(clips))[: round(share * len(clips))])
    return replace(clips, rows=tuple(clips.rows[index] for index in kept))
