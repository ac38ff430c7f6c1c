"""Import of AVSA's published checkpoints (Morgado et al., NeurIPS 2020) into the towers of the `avsa` preset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from avssl.errors import InputError
from avssl.io.tensor_files import load_tensors, read_tensors
from avssl.models.conv2d import Conv2D10
from avssl.models.encoders import Encoders
from avssl.models.r2plus1d import R2Plus1D

TOWERS = ("video_model.", "audio_model.")


@dataclass(frozen=True)
class CheckpointReport:
    """Loaded and ignored entries of a checkpoint."""

    loaded: tuple[str, ...]
    """Names of the loaded tower parameters, as published."""
    ignored: tuple[str, ...]
    """Names of everything else: classifiers, criteria, optimisers."""


def load_published(encoders: Encoders, state: Mapping[str, Any] | Path | str) -> CheckpointReport:
    """Load a published checkpoint into the towers of the `avsa` preset.

    The towers are `video_model.*` and `audio_model.*`, in a dictionary under `model` or at top level, with or without
    the prefix `module.` of DataParallel. Feature statistics are not included and must be fitted.

    Args:
        encoders: preset `avsa`, with the number of feature maps of the checkpoint (4: `foa-logmel`).
        state: the loaded checkpoint, or the path of its `.safetensors` file. Pickles are not read.

    Returns:
        Names loaded and names ignored.

    Raises:
        ValueError: other towers, a file that is not safetensors, missing or unexpected names, or shapes that differ.
    """
    where = str(state) if isinstance(state, (Path, str)) else "published checkpoint"
    entries, ignored = _sort(read_tensors(Path(state)) if isinstance(state, (Path, str)) else state)
    towers = nn.ModuleDict({"video_model": encoders.video.tower, "audio_model": encoders.audio.tower})
    _check_towers(encoders, entries, where)
    counters = {name: tensor for name, tensor in towers.state_dict().items() if name.endswith("num_batches_tracked")}
    load_tensors(towers, counters | entries, where)
    return CheckpointReport(tuple(entries), tuple(ignored))


def _sort(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """Tower entries by name without prefixes, and the names of all other entries."""
    nested = state.get("model")
    ignored = [name for name in state if name != "model"] if isinstance(nested, Mapping) else []
    entries: dict[str, Tensor] = {}
    for name, value in (nested if isinstance(nested, Mapping) else state).items():
        key = name.removeprefix("model.").removeprefix("module.")
        if key.startswith(TOWERS) and isinstance(value, Tensor):
            entries[key] = value
        else:
            ignored.append(name)
    return entries, ignored


def _check_towers(encoders: Encoders, entries: Mapping[str, Tensor], where: str) -> None:
    video, audio = encoders.video.tower, encoders.audio.tower
    if not isinstance(video, R2Plus1D) or not isinstance(audio, Conv2D10):
        raise InputError(f"{where}: expected model.preset=avsa without model.video and model.audio, got other towers")
    stem = entries.get("audio_model.conv1.0.weight")
    maps, expected = encoders.features.maps, stem.shape[1] if stem is not None and stem.ndim == 4 else None
    if expected is not None and maps != expected:
        raise InputError(
            f"expected features of {expected} maps for audio_model.conv1, got {maps} from {encoders.features.name!r} "
            f"({where}); build the encoders with features of {expected} maps"
        )
