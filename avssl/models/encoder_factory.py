"""Encoders of a run: built from a configuration, with random or given weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from avssl.config import FeatureConfig, ModelConfig
from avssl.errors import InputError
from avssl.models.avsa_checkpoint import load_published
from avssl.models.encoders import Encoders


def build_encoders(model: ModelConfig, features: FeatureConfig) -> Encoders:
    """Encoders for a run: with random weights, or those in `model.init`.

    Args:
        model: names the towers; `weights` may be a folder of encoders, or a `.safetensors` file of AVSA's checkpoint.
        features: how sound becomes input.

    Raises:
        ValueError: unknown names, or weights that do not fit this configuration.
    """
    encoders = Encoders(model, features)
    if not model.init:
        return encoders
    path = Path(model.init)
    if path.is_file() or path.suffix == ".safetensors":
        load_published(encoders, path)
    else:
        _start_from(encoders, path)
    return encoders


def _start_from(encoders: Encoders, folder: Path) -> None:
    """Copy the weights of a folder into encoders of the same configuration."""
    found = Encoders.from_pretrained(folder)
    for section, name in (("model", "model_config"), ("features", "feature_config")):
        theirs, ours = (asdict(getattr(each, name)) for each in (found, encoders))
        different = [f"{key} is {theirs[key]!r} there, {ours[key]!r} here" for key in ours if theirs[key] != ours[key]]
        if different:
            raise InputError(f"{folder}: these encoders have another {section} config: {', '.join(different)}")
    encoders.load_state_dict(found.state_dict())
