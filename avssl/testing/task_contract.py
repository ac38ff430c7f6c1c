"""Contract check of pretext tasks, and small synthetic clips."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from avssl.data.clip import Clip
from avssl.errors import InputError
from avssl.evaluation.reference_scores import ReferenceTask, measured
from avssl.models.runtime import evaluating
from avssl.spatial.ambisonics import encode, stereo
from avssl.task import Task, embeds_in_chunks

Views = dict[str, Tensor]


def make_clips(
    count: int = 4, seed: int = 0, seconds: float = 0.5, frames: int = 4, sample_rate: int = 24000, channels: int = 4
) -> list[Clip]:
    """Small synthetic clips of a coloured disc that emits a tone; its colour determines the pitch.

    Args:
        count: number of clips.
        seed: random seed.
        seconds: seconds of audio.
        frames: number of frames, of 32 x 64 pixels.
        sample_rate: Hz.
        channels: 4: ambiX with equirectangular frames; 2: stereo with frames of 90 degrees.

    Raises:
        InputError: another channel count.
    """
    if channels not in (2, 4):
        raise InputError(f"expected 2 or 4 channels, got {channels}")
    rng = np.random.default_rng(seed)
    return [_clip(f"synthetic-{seed}-{index}", rng, seconds, frames, sample_rate, channels) for index in range(count)]


def check_task(task: Task, clips: Sequence[Clip], seed: int = 0) -> None:
    """Check a task against the contract of `avssl.task.Task`.

    Views are tensors that collate, depend only on the clip and the random generator, and do not change the clip;
    `forward` returns a finite scalar loss, further scalars, and a gradient for every trainable parameter;
    `embeddings`, if defined, returns embeddings that can be monitored for collapse; `reference_scores`, if defined,
    returns numbers that stand beside scalars of `forward`; `embed` and `contrast`, if defined, give its loss.

    Args:
        task: task to check; gradients of its parameters are overwritten.
        clips: at least two, as from `make_clips`, with a channel count that the task and its features accept.
        seed: seed of the views.

    Raises:
        AssertionError: a violation, with its clip, view or parameter.
    """
    assert len(clips) >= 2, f"expected at least 2 clips for check_task, got {len(clips)}"
    views = [_checked_views(task, clip, seed + index) for index, clip in enumerate(clips)]
    _check_collates(views, clips)
    task.train()
    task.zero_grad(set_to_none=True)
    torch.manual_seed(seed)
    batch = default_collate(views)
    scalars = task(batch)
    loss = _checked_loss(scalars)
    loss.backward()  # type: ignore[no-untyped-call]
    _check_gradients(task)
    _check_embeddings(task, batch)
    _check_references(task, batch, scalars)
    _check_chunks(task, batch)


def _clip(key: str, rng: np.random.Generator, seconds: float, frames: int, sample_rate: int, channels: int) -> Clip:
    span = 1.0 if channels == 4 else 0.25  # fraction of the full angles
    azimuth, elevation, hue = span * rng.uniform(-np.pi, np.pi), span * rng.uniform(-0.5, 0.5), rng.random()
    time = torch.arange(round(seconds * sample_rate)) / sample_rate
    tone = (
        0.2
        * torch.sin(2 * np.pi * (200 + 2000 * hue) * time)
        * (1 + torch.sin(2 * np.pi * rng.uniform(2, 8) * time))
        / 2
    )
    noise = 1e-3 * torch.from_numpy(rng.standard_normal((4, len(time)))).float()
    rows, columns = torch.meshgrid(
        span * torch.linspace(np.pi / 2, -np.pi / 2, 32), span * torch.linspace(np.pi, -np.pi, 64), indexing="ij"
    )
    disc = (
        torch.cos(columns - azimuth) * torch.cos(rows) * np.cos(elevation) + torch.sin(rows) * np.sin(elevation) > 0.9
    )
    image = torch.from_numpy(rng.integers(0, 60, (3, 32, 64), dtype=np.uint8))
    image[:, disc] = (255 * torch.tensor([hue, 1 - hue, 0.5])).to(torch.uint8)[:, None]
    audio = encode(tone, azimuth, elevation) + noise
    return Clip(
        frames=image.repeat(frames, 1, 1, 1),
        audio=audio if channels == 4 else stereo(audio) / 2,
        sample_rate=sample_rate,
        key=key,
        objects=torch.tensor([[azimuth, elevation, 1.0]]),
    )


def _checked_views(task: Task, clip: Clip, seed: int) -> Views:
    frames, audio = clip.frames.clone(), clip.audio.clone()
    before = _global_state()
    views = task.views(clip, np.random.default_rng(seed))
    assert before == _global_state(), (
        f"views({clip.key!r}) used the global random state of random, numpy or torch; use only the argument `rng`"
    )
    assert torch.equal(frames, clip.frames), f"views({clip.key!r}) changed clip.frames in place; clone before writing"
    assert torch.equal(audio, clip.audio), f"views({clip.key!r}) changed clip.audio in place; clone before writing"
    _check_tensors(views, clip)
    torch.rand(1), np.random.rand(), random.random()
    again = task.views(clip, np.random.default_rng(seed))
    _check_same(views, again, clip)
    return views


def _check_tensors(views: Views, clip: Clip) -> None:
    assert isinstance(views, dict), f"expected a dict of tensors from views({clip.key!r}), got {type(views).__name__}"
    assert views, f"expected one or more views from views({clip.key!r}), got none"
    for name, view in views.items():
        assert isinstance(view, Tensor), (
            f"expected view {name!r} of {clip.key!r} as a tensor, got {type(view).__name__}"
        )
        assert view.device.type == "cpu", f"expected view {name!r} on the CPU (loader process), got {view.device}"
        assert not view.requires_grad, f"expected view {name!r} without gradient, got one that requires it"


def _check_same(views: Views, again: Views, clip: Clip) -> None:
    assert list(views) == list(again), f"views({clip.key!r}) twice with one seed gave {list(views)} and {list(again)}"
    for name, view in views.items():
        same = view.shape == again[name].shape and torch.equal(view.nan_to_num(), again[name].nan_to_num())
        assert same, (
            f"view {name!r} of {clip.key!r} differs between two calls with one seed; use only the argument `rng`"
        )


def _check_collates(views: Sequence[Views], clips: Sequence[Clip]) -> None:
    kinds = [{name: (view.shape, view.dtype) for name, view in each.items()} for each in views]
    for kind, clip in zip(kinds, clips, strict=True):
        different = [name for name in kind.keys() | kinds[0].keys() if kind.get(name) != kinds[0].get(name)]
        assert not different, f"views of {clip.key!r} do not stack with those of {clips[0].key!r}: " + "; ".join(
            f"{name!r} is {kind.get(name)}, expected {kinds[0].get(name)}" for name in different
        )


def _checked_loss(scalars: dict[str, Tensor]) -> Tensor:
    assert isinstance(scalars, dict), f'expected {{"loss": scalar, ...}} from forward, got {type(scalars).__name__}'
    assert "loss" in scalars, f'expected {{"loss": scalar, ...}} from forward, got {scalars!r:.80}'
    for name, value in scalars.items():
        scalar = isinstance(value, Tensor) and value.ndim == 0
        assert scalar, f"expected {name!r} of forward as a scalar tensor, got {value!r:.80}"
    loss = scalars["loss"]
    assert torch.isfinite(loss), f"expected a finite loss, got {loss.item()}"
    assert loss.requires_grad, "expected a loss with gradient, got a detached one, or one that depends on no parameter"
    return loss


def _check_gradients(task: Task) -> None:
    trained = {name: each for name, each in task.named_parameters() if each.requires_grad}
    assert trained, "expected trainable parameters in the task, got none"
    without = [name for name, each in trained.items() if each.grad is None]
    assert not without, f"no gradient reaches {', '.join(without)}; use them in forward or freeze them"
    broken = [name for name, each in trained.items() if each.grad is not None and not each.grad.isfinite().all()]
    assert not broken, f"the gradient of {', '.join(broken)} is not finite"


@torch.no_grad()
def _check_embeddings(task: Task, batch: Views) -> None:
    if not callable(getattr(type(task), "embeddings", None)):
        return
    embeddings = task.embeddings(batch)  # type: ignore[operator]
    rows = isinstance(embeddings, dict) and all(
        isinstance(each, Tensor) and each.ndim > 1 for each in embeddings.values()
    )
    assert rows, "expected {name: (rows, width)} from embeddings(batch), for collapse monitoring; rename other methods"


@torch.no_grad()
def _check_chunks(task: Any, batch: Views) -> None:
    if not embeds_in_chunks(task):
        return
    network: Any = task
    with evaluating(network):
        expected, embeddings = network(batch)["loss"], task.embed(batch)
        found = task.contrast(embeddings, batch)["loss"]
        first = task.embed({name: each[:1] for name, each in batch.items()})
    for name, each in embeddings.items():
        alone = each.shape[1:] == first[name].shape[1:] and torch.allclose(each[:1], first[name], rtol=1e-3, atol=1e-4)
        assert alone, f"expected {name!r} of embed from each clip alone, got other embeddings of the first clip alone"
    same = torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert same, f"expected the loss of forward, {expected:.4g}, from contrast(embed(batch), batch), got {found:.4g}"


def _check_references(task: Task, batch: Views, scalars: dict[str, Tensor]) -> None:
    if not isinstance(task, ReferenceTask):
        return
    for name, value in task.reference_scores(batch, None).items():
        known = measured(name) in scalars and name not in scalars
        assert known, f"expected {name!r} of reference_scores as a scalar of forward with an ending such as _chance"
        finite = isinstance(value, float) and math.isfinite(value)
        assert finite, f"expected {name!r} of reference_scores as a finite number, got {value!r}"


def _global_state() -> tuple[object, ...]:
    state = np.random.get_state()
    return random.getstate(), state[1].tobytes(), state[2], torch.get_rng_state().numpy().tobytes()  # type: ignore[index, union-attr]
