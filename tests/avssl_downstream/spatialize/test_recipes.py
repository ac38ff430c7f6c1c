"""Every shipped recipe of the head fills its options, those of its generator, and says what its row is called."""

import pytest
from avssl_downstream.spatialize.generators.foa360_options import POINTING
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator, get_generator

from avssl.config import fill
from avssl.recipe_files import read_recipe, shipped_recipes

TINY = {
    "asn": {"network": "small", "bands": 32, "flow": "", "rows": 32, "columns": 64},
    "pseudo_binaural": {"width": 2, "rows": 32, "columns": 64, "fusion": "none"},
    "foa360": {"network": "pointing", "bands": 32, "variant": "no_flow", "rows": 32, "columns": 64},
}
"""Options of generators that are built quickly."""
RECIPES = [name for name in shipped_recipes() if name.startswith("spatialize/")]


def tiny(name):
    return build_generator(SpatializeOptions(generator=name, generator_options=TINY[name]), None)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fills_head_and_generator(name):
    options = fill(SpatializeOptions, read_recipe(name, SpatializeOptions), where=name)
    fill(get_generator(options.generator).Options, options.generator_options, where=name)
    assert options.title
    assert name.removeprefix("spatialize/").startswith(options.generator)
    assert all(metric.startswith("test_") for metric in options.published)


@pytest.mark.parametrize("generator", ["asn", "foa360", "mono_to_3d", "pseudo_binaural"])
def test_every_generator_has_a_small_and_a_full_recipe(generator):
    assert f"spatialize/{generator}-full" in RECIPES
    assert any(each.startswith(f"spatialize/{generator}-small") for each in RECIPES)


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


def test_the_published_form_of_mono_to_3d_has_the_losses_as_printed():
    for size in ("full", "small-published"):
        printed, signed = (
            read_recipe(f"spatialize/mono_to_3d-{size}{end}", SpatializeOptions).generator_options
            for end in ("", "-signed")
        )
        assert (printed["spatial_loss"], printed["min_norm"]) == ("barred", 0)
        assert signed == {**printed, "spatial_loss": "signed"}


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
        assert {key for key, value in found.items() if value != whole[key]} == {*different, "title"}
        assert found["batch"] == whole["batch"] * (0.5 if "batch" in different else 1)
        if "third" in row:
            assert found["train_share"] == pytest.approx(whole["train_share"] / 3, abs=1e-4)


@pytest.mark.parametrize("row", ["mono_to_3d-small-published", "mono_to_3d-full"])
def test_rows_in_the_papers_own_simulation_have_its_gain_beside_them(row):
    published = read_recipe(f"spatialize/{row}", SpatializeOptions).published
    assert published["test_stft_below_mono"] == pytest.approx(1 - 0.38 / 1.21, abs=6e-4)


def test_small_rows_on_other_data_than_the_papers_are_beside_no_number():
    for row in (each for each in RECIPES if "-small" in each and "mono_to_3d" not in each):
        assert not fill(SpatializeOptions, read_recipe(row, SpatializeOptions)).published


def test_rows_that_no_paper_has_are_beside_no_number():
    own = [f"pseudo_binaural-small{row}" for row in ("", "-supervised", "-third", "-third-supervised", "-unsupervised")]
    published = [f"pseudo_binaural-small-published-no-{part}" for part in ("separation", "apnet")]
    for row in (
        "foa360-pointing-second-order",
        "mono_to_3d-pointing",
        "mono_to_3d-keypoints",
        "mono_to_3d-small-published-signed",
        *own,
        *published,
    ):
        assert not fill(SpatializeOptions, read_recipe(f"spatialize/{row}", SpatializeOptions)).published


def test_without_a_recipe_binaural_generators_are_trained_on_sources_on_both_sides():
    for name in ("asn", "pseudo_binaural"):
        generator = tiny(name)
        data = SpatializeOptions(generator=name).data(generator, 4)
        assert (data.synthetic_dataset, data.synthetic_options) == ("stage", {"sides": "both"})
    given = SpatializeOptions(synthetic_options={"sides": "one", "fov": 60.0}).data(generator, 4)
    assert given.synthetic_options == {"sides": "one", "fov": 60.0}
    named = SpatializeOptions(synthetic_dataset="stage", synthetic_options={"fov": 60.0}).data(generator, 4)
    assert named.synthetic_options == {"fov": 60.0}
    around = SpatializeOptions(generator="foa360").data(tiny("foa360"), 4)
    assert (around.synthetic_dataset, around.synthetic_options) == ("synth360", {})


@pytest.mark.parametrize(
    ("row", "base", "different"),
    [
        ("-no-separation", "", {"separation": 0.0}),
        ("-no-apnet", "", {"fusion": "none"}),
        ("-unsupervised-no-separation", "-unsupervised", {"separation": 0.0}),
        ("-supervised", "", {"fusion": "none", "norm": "batch", "separation": 0.0}),
    ],
)
def test_published_rows_of_pseudo_binaural_differ_in_what_they_are_named_for(row, base, different):
    name = "spatialize/pseudo_binaural-small-published"
    own, theirs = (read_recipe(f"{name}{each}", SpatializeOptions).generator_options for each in (row, base))
    assert {key: value for key, value in own.items() if value != theirs.get(key)} == different


@pytest.mark.parametrize(("share", "clips"), [("0.0334", 20), ("0.0667", 40), ("0.1", 60), ("0.2", 120), ("1", 600)])
def test_shares_of_the_small_recipe_are_these_clips(share, clips):
    options = fill(SpatializeOptions, read_recipe("spatialize/pseudo_binaural-small", SpatializeOptions))
    assert round(float(share) * 0.75 * options.clips) == clips
