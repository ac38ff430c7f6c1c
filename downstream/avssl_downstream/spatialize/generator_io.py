"""Write and read the folder of a fitted generator: config.json, generator.safetensors."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from avssl import __version__
from avssl.config import FeatureConfig, ModelConfig, fill
from avssl.errors import InputError
from avssl.io.atomic import replacing, write_text
from avssl.io.format_version import MAX_CONFIG, read_format
from avssl.io.tensor_files import load_tensors, read_tensors
from avssl.models.encoders import Encoders
from avssl.models.tower import pooling_tensors
from avssl.models.tower_factory import check_backbone_size
from avssl.regular_files import read_json
from avssl.runs.reader import flat
from avssl.spatial.features import Features
from avssl_downstream.spatialize.calibration import Calibration
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.networks.direction_prior import DirectionPrior, find_direction_prior
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator, get_generator

CONFIG = "config.json"
WEIGHTS = "generator.safetensors"
PRIOR = "prior.json"
FORMAT = "avssl-generator"
VERSION = 2
TOWERS = ("encoders", "scratch", "")
"""Branches of the architecture of the encoders."""
FREE = (
    "hop", "windows", "method", "mix", "panorama", "target", "hrirs", "filters", "codec", "workers", "train.precision",
    "manifest", "lists", "split", "max_clips", "normalisation", "title", "audio_only", "filter_db", "segmenter",
    "decoded", "decoded_gb", "init", "heat_map", "calibrate",
)  # fmt: skip
"""Options that may differ from those of the fit."""


def write_generator(folder: Path, generator: Generator, options: SpatializeOptions, encoders: Encoders | None) -> None:
    """Write both files, each completely or not at all.

    Layers after the maps of towers are left out: generators need maps alone.

    Args:
        folder: created if missing.
        generator: fitted.
        options: of the fit.
        encoders: of the fit; their configuration is stored, so the network can be built without them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    towers = {"model": asdict(encoders.model_config), "features": asdict(encoders.feature_config)} if encoders else None
    prior = find_direction_prior(generator)
    config = {
        "format": FORMAT,
        "version": VERSION,
        "avssl": __version__,
        "options": asdict(_without_path(options, prior)),
        "encoders": towers,
        "direction_prior": None if prior is None else prior.description,
        "sample_rate": generator.sample_rate,
        "output": generator.output,
        "field_of_view": 360.0 if generator.panoramic else options.field_of_view,
    }
    unused = pooling_tensors(generator)
    tensors = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in generator.state_dict().items()
        if name not in unused
    }
    with replacing(folder / WEIGHTS) as part:
        save_file(tensors, part, metadata={"format": "pt"})
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def write_prior(folder: Path, prior: Tensor | None, calibration: Calibration | None = None) -> None:
    """Write the spatial prior `(C, I)` of the training clips and a calibration beside the generator; None: nothing."""
    if prior is None:
        return
    stored: dict[str, Any] = {"gains": prior.tolist()}
    if calibration is not None:
        stored["calibration"] = {"level": calibration.level, "gains": calibration.gains.tolist()}
    write_text(folder / PRIOR, json.dumps(stored) + "\n")


def read_prior(folder: Path, generator: Generator) -> Tensor:
    """The spatial prior `(C, I)` of the training clips of a generator.

    Raises:
        InputError: no such file, or one that is broken or of another generator.
    """
    path = folder / PRIOR
    if not path.is_file():
        raise InputError(
            f"{folder}: expected {PRIOR} for method=prior, got a head that was fitted without; fit it again"
        )
    return _gains(read_json(path, "a spatial prior in JSON", MAX_CONFIG), path, generator)


def read_calibration(folder: Path, generator: Generator) -> Calibration:
    """The calibration of a generator.

    Raises:
        InputError: none in this folder, or one that is broken or of another generator.
    """
    path = folder / PRIOR
    stored = read_json(path, "a spatial prior in JSON", MAX_CONFIG) if path.is_file() else {}
    found = stored.get("calibration") if isinstance(stored, dict) else None
    if found is None:
        raise InputError(
            f"{folder}: expected a calibration for method=calibrated, got none; evaluate the head on clips of your own "
            "with --calibrate 100, and name the folder of that evaluation"
        )
    level = found.get("level") if isinstance(found, dict) else None
    if not isinstance(level, int | float) or not math.isfinite(level):
        raise InputError(f"{path}: expected a finite level of the calibration, got {level}")
    return Calibration(float(level), _gains(found, path, generator))


def copy_generator(source: Path, folder: Path) -> None:
    """Copy the files of a fitted generator beside an evaluation of it, each completely or not at all."""
    for name in (WEIGHTS, CONFIG):
        with replacing(folder / name) as part:
            shutil.copyfile(source / name, part)


def _gains(stored: Any, path: Path, generator: Generator) -> Tensor:
    """Gains `(C, I)` of a generator in a section of a file."""
    shape = generator.channels, generator.input_channels
    gains = stored.get("gains") if isinstance(stored, dict) else None
    try:
        prior = torch.tensor(gains, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: expected gains as numbers, got something else") from error
    if tuple(prior.shape) != shape or not bool(prior.isfinite().all()):
        raise InputError(f"{path}: expected finite gains of shape {shape}, got {tuple(prior.shape)}")
    return prior


def initialise(generator: Generator, folder: Path) -> None:
    """Load the weights of a fitted generator into another one of the same networks.

    Raises:
        InputError: no fitted generator there, or one of other networks.
    """
    fitted = _read_config(folder / CONFIG)["options"]
    if (own := type(generator).__name__) != (other := get_generator(str(fitted.get("generator"))).__name__):
        raise InputError(f"init={folder}: expected a fitted {own}, got {other}")
    load_tensors(generator, _with_unused(generator, read_tensors(folder / WEIGHTS)), str(folder / WEIGHTS))


def initial_prior(options: SpatializeOptions) -> Any:
    """Description of the direction prior that is stored with the head `init`; None where the options name another one.

    Raises:
        InputError: no fitted generator there.
    """
    if not options.init:
        return None
    config = _read_config(Path(options.init) / CONFIG)
    own = config["options"].get("generator_options") or {}
    same = own.get("direction_prior") == options.generator_options.get("direction_prior")
    return config.get("direction_prior") if same else None


def read_generator(folder: Path, settings: Any) -> tuple[Generator, SpatializeOptions]:
    """A fitted generator in evaluation mode, and its options with changed settings; nothing is unpickled.

    Args:
        folder: of both files.
        settings: nested; only those of `FREE` may differ from the fit.

    Raises:
        InputError: no such folder, a broken file, or settings for another generator than this.
    """
    path = folder / CONFIG
    config = _read_config(path)
    stored = {"audio_branch": "none"} | config["options"]  # heads fitted before it was an option have no audio tower
    fitted = fill(SpatializeOptions, stored, where=str(path))
    options = fill(SpatializeOptions, stored, settings, where=str(path))
    _check_same(folder, fitted, options)
    tensors = read_tensors(folder / WEIGHTS)
    check_backbone_size(fitted.visual_branch, tensors, str(folder / WEIGHTS))
    encoders = _build_encoders(config.get("encoders"), fitted, tensors, folder)
    own = {key: "" if key.endswith("weights") else value for key, value in fitted.generator_options.items()}
    prior = config.get("direction_prior")
    if prior is None and own.get("direction_prior"):
        raise InputError(f"{path}: expected a section direction_prior, got none; fit the head again")
    generator = build_generator(replace(fitted, visual_weights="", generator_options=own), encoders, prior)
    load_tensors(generator, _with_unused(generator, tensors), str(folder / WEIGHTS))
    return generator.eval(), options


def _with_unused(generator: Generator, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file, and zeros where it lacks what no map needs."""
    own = generator.state_dict()
    return {name: torch.zeros_like(own[name]) for name in pooling_tensors(generator)} | tensors


def _without_path(options: SpatializeOptions, prior: DirectionPrior | None) -> SpatializeOptions:
    """Options with the name alone of the run of a direction prior, whose weights are stored with the generator."""
    own = options.generator_options
    if prior is None:
        return options
    return replace(options, generator_options=own | {"direction_prior": Path(own["direction_prior"]).resolve().name})


def _build_encoders(
    towers: Any, fitted: SpatializeOptions, tensors: dict[str, Tensor], folder: Path
) -> Encoders | None:
    """Encoders with random weights; a tower that the generator does not use is that of the preset."""
    if towers is None:
        return None
    where = str(folder / CONFIG)
    model, features = (
        fill(ModelConfig, towers["model"], where=where),
        fill(FeatureConfig, towers["features"], where=where),
    )
    if fitted.visual_branch not in TOWERS:
        model = replace(model, video="")
    if fitted.audio_branch not in TOWERS:
        model = replace(model, audio="")
    check_backbone_size(model.video, tensors, str(folder / WEIGHTS))
    check_backbone_size(model.audio, tensors, str(folder / WEIGHTS), Features.count_maps(features))
    return Encoders(model, features)


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path.parent}: expected a fitted head ({CONFIG}, {WEIGHTS}), got a folder without {CONFIG}")
    config = read_format(path, FORMAT, VERSION, "a generator")
    towers = config.get("encoders")
    described = towers is None or (isinstance(towers, dict) and {"model", "features"} <= towers.keys())
    if not isinstance(config.get("options"), dict) or not described:
        raise InputError(f"{path}: expected sections options and encoders, got a missing or broken one")
    return config


def _check_same(folder: Path, fitted: SpatializeOptions, options: SpatializeOptions) -> None:
    """Check that no setting needs another fit, such as another sample rate or field of view."""
    own = get_generator(fitted.generator).Options
    before, now = _settings(fitted, own, folder), _settings(options, own, folder)
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key) and key not in FREE:
            raise InputError(
                f"{folder}: this head was fitted with {key} {before.get(key)}, got {now.get(key)}; "
                f"only {', '.join(FREE)} may change"
            )


def _settings(options: SpatializeOptions, own: type, folder: Path) -> dict[str, Any]:
    """All options by name, with the defaults of the generator's own."""
    filled: Any = fill(own, options.generator_options, where=f"{folder}: generator_options")
    return flat(asdict(options) | {"generator_options": asdict(filled)})
