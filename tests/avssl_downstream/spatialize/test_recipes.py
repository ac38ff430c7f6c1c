"""Every shipped recipe of the head fills its options, those of its generator, and says what its row is called."""

import pytest
from avssl_downstream.spatialize.generators.foa360_options import POINTING
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import get_generator

from avssl.config import fill
from avssl.recipe_files import read_recipe, shipped_recipes

RECIPES = [name for name in shipped_recipes() if name.startswith("spatialize/")]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fills_head_and_generator(name):
    options = fill(SpatializeOptions, read_recipe(name, SpatializeOptions), where=name)
    fill(get_generator(options.generator).Options, options.generator_options, where=name)
    assert options.title
    assert name.removeprefix("spatialize/").startswith(options.generator)
    assert all(metric.startswith("test_") for metric in options.published)


@pytest.mark.parametrize("generator", ["asn", "foa360", "mono_to_3d", "pseudo_binaural"])
def test_every_generator_has_a_small_and_a_full_recipe(generator):
    for size in ("small", "full"):
        assert any(name.startswith(f"spatialize/{generator}-{size}") for name in RECIPES)


def test_every_row_of_the_foa360_paper_has_the_published_network_at_both_sizes():
    for row in ("", "-no-video", "-no-rgb", "-no-flow", "-no-separation", "-unet"):
        for size in ("full", "small-published"):
            options = read_recipe(f"spatialize/foa360-{size}{row}", SpatializeOptions).generator_options
            assert options.network == "published"
            assert options.variant == (row.removeprefix("-").replace("-", "_") or "full")
            assert not any(options.get(name) for name in POINTING)


def test_a_form_of_our_own_has_no_published_number():
    for name in (each for each in RECIPES if "foa360-pointing" in each):
        options = fill(SpatializeOptions, read_recipe(name, SpatializeOptions))
        assert options.generator_options["network"] == "pointing"
        assert not options.published


def test_rows_of_pseudo_binaural_differ_in_data_with_equal_amounts_per_step():
    def small(row):
        return vars(fill(SpatializeOptions, read_recipe(f"spatialize/pseudo_binaural-small{row}", SpatializeOptions)))

    whole = small("")
    for row, different in {
        "-supervised": {"augment", "batch"},
        "-unsupervised": {"train_share", "augment_share", "batch"},
        "-third": {"train_share"},
        "-third-supervised": {"train_share", "augment", "batch"},
    }.items():
        found = small(row)
        assert {key for key, value in found.items() if value != whole[key]} == {*different, "title", "published"}
        assert found["batch"] == whole["batch"] * (0.5 if "batch" in different else 1)
        if "third" in row:
            assert found["train_share"] == pytest.approx(whole["train_share"] / 3, abs=1e-4)


@pytest.mark.parametrize(
    ("row", "stft", "baseline"),
    [
        ("foa360-small-published", 3.524, 4.652),
        ("foa360-small-published-no-video", 4.220, 4.652),
        ("mono_to_3d-small", 0.35, 1.29),
        ("pseudo_binaural-small", 0.878, 1.024),
        ("pseudo_binaural-small-unsupervised", 0.944, 1.024),
    ],
)
def test_small_rows_have_the_papers_gain_beside_them(row, stft, baseline):
    published = read_recipe(f"spatialize/{row}", SpatializeOptions).published
    gains = [value for name, value in published.items() if name in ("test_stft_below_prior", "test_stft_below_mono")]
    assert gains == [pytest.approx(1 - stft / baseline, abs=6e-4)]


def test_rows_that_no_paper_has_are_beside_no_number():
    for row in ("foa360-pointing-second-order", "pseudo_binaural-small-third-supervised"):
        assert not fill(SpatializeOptions, read_recipe(f"spatialize/{row}", SpatializeOptions)).published
