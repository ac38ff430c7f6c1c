"""Encoders built from a configuration, with random or given weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from avssl.config import FeatureConfig, ModelConfig
from avssl.errors import InputError
from avssl.models.avsa_checkpoint import load_published
from avssl.models.encoders import Encoders


def build_encoders(model: ModelConfig, features: FeatureConfig) -> Encoders:
    """Build encoders with random weights, or those of `model.init`.

    Args:
        model: towers by name; `init` may be encoders, see `Encoders.from_pretrained`, or AVSA's `.safetensors`
            checkpoint.
        features: audio features.

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
        _load_encoders(encoders, model.init)
    return encoders


def _load_encoders(encoders: Encoders, folder: str) -> None:
    """Copy the weights of other encoders into encoders of the same configuration."""
    source = Encoders.from_pretrained(folder)
    for section, name in (("model", "model_config"), ("features", "feature_config")):
        theirs, ours = (asdict(getattr(each, name)) for each in (source, encoders))
        different = [f"{key} {ours[key]!r}, got {theirs[key]!r}" for key in ours if theirs[key] != ours[key]]
        if different:
            raise InputError(f"{folder}: expected encoders of the same {section} config, {', '.join(different)}")
    encoders.load_state_dict(source.state_dict())
