"""Weights of AVSA's published checkpoints (Morgado et al., NeurIPS 2020) in our towers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from avssl.errors import InputError
from avssl.models.conv2d import Conv2D10
from avssl.models.encoder_io import load_tensors, read_tensors
from avssl.models.encoders import Encoders
from avssl.models.r2plus1d import R2Plus1D

TOWERS = ("video_model.", "audio_model.")


@dataclass(frozen=True)
class Report:
    """What became of the entries of a checkpoint."""

    loaded: tuple[str, ...]
    """Names that filled the towers, as published."""
    ignored: tuple[str, ...]
    """Names of classifiers, criteria and optimisers, which encoders do not have."""


def load_published(encoders: Encoders, state: Mapping[str, Any] | Path | str) -> Report:
    """Fill the towers of the `avsa` preset from a published checkpoint.

    The checkpoint's towers are `video_model.*` and `audio_model.*`, in a dictionary under `model` or at the top, with
    or without the `module.` of DataParallel. Its feature statistics are not part of it: fit them.

    Args:
        encoders: preset `avsa`, with features of as many maps as the checkpoint was trained with (4: `foa-logmel`).
        state: the loaded checkpoint, or the path of a `.safetensors` file of it. Pickles are not read.

    Returns:
        What was loaded and what was left.

    Raises:
        ValueError: other towers, a file that is not safetensors, missing or unexpected names, other shapes.
    """
    where = str(state) if isinstance(state, (Path, str)) else "published checkpoint"
    entries, ignored = _sort(read_tensors(Path(state)) if isinstance(state, (Path, str)) else state)
    towers = nn.ModuleDict({"video_model": encoders.video.tower, "audio_model": encoders.audio.tower})
    _check_towers(encoders, entries, where)
    counters = {name: tensor for name, tensor in towers.state_dict().items() if name.endswith("num_batches_tracked")}
    load_tensors(towers, counters | entries, where)
    return Report(tuple(entries), tuple(ignored))


def _sort(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """The towers' entries under their plain names, and the names of all others."""
    nested = state.get("model")
    ignored = [name for name in state if name != "model"] if isinstance(nested, Mapping) else []
    entries: dict[str, Tensor] = {}
    for name, value in (nested if isinstance(nested, Mapping) else state).items():
        plain = name.removeprefix("model.").removeprefix("module.")
        if plain.startswith(TOWERS) and isinstance(value, Tensor):
            entries[plain] = value
        else:
            ignored.append(name)
    return entries, ignored


def _check_towers(encoders: Encoders, entries: Mapping[str, Tensor], where: str) -> None:
    video, audio = encoders.video.tower, encoders.audio.tower
    if not isinstance(video, R2Plus1D) or not isinstance(audio, Conv2D10):
        raise InputError(f"{where}: AVSA's weights need model.preset=avsa, with no other model.video or model.audio")
    stem = entries.get("audio_model.conv1.0.weight")
    have, want = encoders.features.maps, stem.shape[1] if stem is not None and stem.ndim == 4 else None
    if want is not None and have != want:
        raise InputError(
            f"{where}: its audio_model.conv1 takes {want} maps, the features {encoders.features.name!r} make {have}; "
            f"build the encoders with features of {want} maps"
        )
