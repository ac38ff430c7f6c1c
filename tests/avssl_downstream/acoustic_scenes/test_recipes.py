"""Recipes of the heads for acoustic scenes fill their options and have the published metrics."""

import pytest

from avssl import plugins
from avssl.config import fill
from avssl.recipe_files import read_recipe, shipped_recipes

RECIPES = [name for name in shipped_recipes() if name.split("/")[0] in ("eigenscape", "acoustic_scenes")]


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_fills_the_options(name: str) -> None:
    kind = plugins.load(plugins.HEADS, name.split("/")[0].replace("_", "-")).Options
    assert isinstance(fill(kind, read_recipe(name, kind), where=name), kind)


def test_recipes_have_the_published_metrics() -> None:
    kind = plugins.load(plugins.HEADS, "eigenscape").Options
    rows = {name: fill(kind, read_recipe(f"eigenscape/{name}", kind)).published for name in
            ("avc-baseline", "avc-iv", "avsa-baseline", "avsa-iv", "original")}  # fmt: skip
    assert [sum(row.values()) for row in rows.values()] == [0.825, 0.825, 0.894, 0.741, 0.69]
