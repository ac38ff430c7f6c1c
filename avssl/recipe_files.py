"""Recipes: YAML files of config keys, shipped or a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf

from avssl.config import RunConfig, check_keys, fill
from avssl.errors import InputError, excerpt
from avssl.plugins import hint, nearest
from avssl.regular_files import check_regular, is_regular
from avssl.yaml_files import read_yaml

T = TypeVar("T")
MAX_PATH = 4096
"""Characters of a path on Linux."""
MAX_BASES = 16
"""Recipes that stand on one another by `base`."""


def resolve(kind: type[T], recipe: str, *layers: Any, where: str = "") -> T:
    """A config from its defaults, a recipe and what the command line gives, later ones first.

    Args:
        kind: a dataclass.
        recipe: name of a shipped recipe, or a path; empty: none.
        layers: nested mappings, or OmegaConf configs.
        where: named in errors of the layers.

    Raises:
        InputError: no such recipe, an unknown key, or a value of another type or out of its range.
    """
    return fill(kind, *([read_recipe(recipe, kind)] if recipe else []), *layers, where=where)


def recipe_path(name: str) -> Path:
    """The file of a recipe given by its name (`avsa/small`) or its path.

    Raises:
        InputError: there is none; the message lists the nearest shipped ones.
    """
    for path in (Path(name), recipes_folder() / f"{name}.yaml"):
        if is_regular(path):
            return path
    if len(name) < MAX_PATH and Path(name).exists():
        check_regular(Path(name), "a recipe")
    shipped, shown = shipped_recipes(), excerpt(name)
    raise InputError(f"no recipe {shown!r}{hint(shown, shipped)}; shipped: {nearest(shown, shipped)} (avssl list)")


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with avssl, such as `avsa/small`."""
    folder = recipes_folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def recipes_folder() -> Path:
    """Where the shipped recipes lie: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "recipes"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "recipes"


def read_recipe(name: str, kind: type = RunConfig) -> Any:
    """A recipe as an OmegaConf config; `base: other` in it puts another recipe beneath.

    All but its published numbers, which are those of one row.

    Args:
        name: of a shipped recipe, or a path.
        kind: whose keys it may have: those of a run, or of a head's options.

    Raises:
        InputError: there is none, it is not YAML, a key or value is not one of `kind`, or bases form a circle.
    """
    return _read_recipe(name, kind, ())


def _read_recipe(name: str, kind: type, above: tuple[Path, ...]) -> Any:
    """A recipe, of which those above it are based."""
    path = recipe_path(name)
    chain = (*above, path)
    if any(path.samefile(each) for each in above):
        circle = " -> ".join(map(str, chain))
        raise InputError(f"{path}: expected a recipe whose bases end, got a circle ({circle}); remove one `base`")
    recipe = read_yaml(path, "a recipe")
    if not OmegaConf.is_dict(recipe):
        raise InputError(f"{path}: a recipe is a mapping of keys to values, this is a list")
    base = recipe.pop("base", None)
    if not isinstance(base, str | None):
        raise InputError(f"{path}: expected the name or path of a recipe as base, got {excerpt(base)}")
    if base and len(chain) == MAX_BASES:
        raise InputError(f"{path}: expected at most {MAX_BASES} recipes on one another, got more")
    recipe.pop("format", None)  # a run folder's config.yaml is a recipe too
    check_keys(kind, recipe, str(path))
    if not base:
        return recipe
    beneath = _read_recipe(base, kind, chain)
    beneath.pop("published", None)
    return OmegaConf.merge(beneath, recipe)
