"""Every shipped recipe of the head fills its options, those of its generator, and says what its row is called."""

import pytest
from avssl_downstream.spatialize.generators import GENERATORS, find
from avssl_downstream.spatialize.options import SpatializeOptions

from avssl.config import fill, read_recipe, shipped_recipes

RECIPES = [name for name in shipped_recipes() if name.startswith("spatialize/")]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fills_head_and_generator(name):
    options = fill(SpatializeOptions, read_recipe(name, SpatializeOptions), where=name)
    fill(find(options.generator).Options, options.generator_options, where=name)
    assert options.title
    assert name.removeprefix("spatialize/").startswith(options.generator)
    assert all(metric.startswith("test_") for metric in options.published)


@pytest.mark.parametrize("generator", GENERATORS)
def test_every_generator_has_a_small_and_a_full_recipe(generator):
    assert {f"spatialize/{generator}-{size}" for size in ("small", "full")} <= set(RECIPES)


def test_rows_of_pseudo_binaural_differ_in_data_alone():
    def small(row):
        return vars(fill(SpatializeOptions, read_recipe(f"spatialize/pseudo_binaural-small{row}", SpatializeOptions)))

    whole = small("")
    for row, different in {
        "-supervised": {"augment"},
        "-unsupervised": {"train_share", "augment_share"},
        "-third": {"train_share"},
        "-third-supervised": {"train_share", "augment"},
    }.items():
        assert {key for key, value in small(row).items() if value != whole[key]} == {*different, "title"}
