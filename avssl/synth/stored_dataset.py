"""A rendered synthetic dataset as an object again, to render parts of its scenes, such as single sources."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from avssl import plugins
from avssl.datasets.layouts.synthetic import SETTINGS, synthetic
from avssl.errors import InputError
from avssl.regular_files import read_json
from avssl.synth.dataset_base import load_synthetic_dataset
from avssl.synth.render_dataset import SceneDataset

MEDIA_OPTIONS = ("sources", "backgrounds", "rirs", "ambience")
"""Options whose settings describe contents, not the paths of files."""


def stored_dataset(folder: Path) -> SceneDataset[Any]:
    """The synthetic dataset that a folder was rendered from; its scenes are those of the folder.

    Args:
        folder: of the manifest.

    Raises:
        InputError: recordings; another version's or a third party's scenes that cannot be rendered again; or scenes
            with a user's media or HRIRs, whose files are not stored.
    """
    name = synthetic(folder)
    if not name:
        raise InputError(f"{folder}: expected a synthetic dataset ({SETTINGS}), got recordings")
    stored = read_json(folder / SETTINGS, "the settings of a synthetic dataset in JSON")
    for each in plugins.names(plugins.SYNTHETIC_DATASETS):
        if each == name or each.startswith(f"{name}-"):
            found = _like(each, stored)
            if found is not None:
                return found
    raise InputError(f"{folder}: expected scenes of built-in objects of this version of {name}, got others")


def _like(name: str, stored: dict[str, Any]) -> SceneDataset[Any] | None:
    """A dataset of this class with stored settings; None if it cannot have them all."""
    kind = load_synthetic_dataset(name)
    if not issubclass(kind, SceneDataset):
        return None
    known = {each.name for each in fields(kind.Options)} - set(MEDIA_OPTIONS)
    found = kind(kind.Options(**{key: value for key, value in stored.items() if key in known}))
    return found if json.loads(json.dumps(found.settings())) == stored else None
