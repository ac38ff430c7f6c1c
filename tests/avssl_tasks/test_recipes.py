"""Every recipe of a task is a complete run; rows of the paper's table differ only in the named setting."""

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from avssl import plugins
from avssl.config import RunConfig, fill
from avssl.models.encoders import Encoders
from avssl.recipe_files import read_recipe, shipped_recipes
from avssl.train.resolved_run import resolve_run

RECIPES = [name for name in shipped_recipes() if name.split("/")[0] in plugins.names(plugins.TASKS)]
ROWS = ["baseline", "yolo", "iv", "iv-yolo", "beam", "beam-yolo"]
TABLE = [f"{task}/{size}-{row}" for task in ("avc", "avsa") for size in ("small", "full") for row in ROWS]


@cache
def run_of(name: str) -> RunConfig:
    return fill(RunConfig, read_recipe(name), where=name)


def changes(name: str, other: str) -> dict[str, Any]:
    """Flat keys in which two recipes differ, except row titles, with values of the first."""
    one, two = (_flat(asdict(run_of(each))) for each in (name, other))
    return {key: one.get(key) for key in one.keys() | two.keys() if one.get(key) != two.get(key) and key != "title"}


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


@pytest.mark.parametrize("name", RECIPES)
def test_every_shipped_recipe_fills_a_run_its_task_and_its_probe(name: str) -> None:
    config = run_of(name)
    assert config.task == name.split("/")[0]
    options = resolve_run(config, name).options
    assert all(getattr(options, key) == value for key, value in config.options.items() if key != "colour")


def test_every_row_of_the_papers_table_is_shipped_with_a_title_of_its_own() -> None:
    assert set(TABLE) <= set(RECIPES)
    for size in ("small", "full"):
        titles = [run_of(name).title for name in RECIPES if name.startswith((f"avc/{size}-", f"avsa/{size}-"))]
        assert all(titles)
        assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", [name for name in TABLE if name.endswith("yolo")])
def test_a_row_with_guided_crops_differs_from_its_random_twin_in_the_guide_alone(name: str) -> None:
    twin = name.removesuffix("-yolo") if name.count("-") > 1 else name.replace("yolo", "baseline")
    different = changes(name, twin)
    published = {"published.avsa_bin"}
    assert different.keys() - published == {"data.detector", "options.crop_guide"}
    assert different["options.crop_guide"] == "objects"
    assert (different["data.detector"] == "truth") == ("/small-" in name)


@pytest.mark.parametrize("task", ["avc", "avsa"])
@pytest.mark.parametrize("size", ["small", "full"])
def test_rows_differ_in_their_features_alone(task: str, size: str) -> None:
    for row, features in (("iv", "foa-iv"), ("beam", "beam-logmel")):
        different = changes(f"{task}/{size}-{row}", f"{task}/{size}-baseline")
        different.pop("published.avsa_bin", None)
        assert different == {"features.name": features}


@pytest.mark.parametrize("task", ["avc", "avsa"])
@pytest.mark.parametrize(("row", "parameters"), [("baseline", 4_735_104), ("iv", 4_744_512), ("beam", 4_725_696)])
def test_full_rows_have_the_published_audio_tower(task: str, row: str, parameters: int) -> None:
    config = run_of(f"{task}/full-{row}")
    assert sum(each.numel() for each in Encoders(config.model, config.features).audio.parameters()) == parameters


def test_the_papers_numbers_stand_beside_the_full_rows_only() -> None:
    published = {name: run_of(name).published for name in RECIPES if run_of(name).published}
    assert {name: value for name, value in published.items() if name in TABLE} == {
        "avsa/full-baseline": {"avsa_bin": 0.71}, "avsa/full-iv": {"avsa_bin": 0.81},
    }  # fmt: skip


def test_transformer_and_curriculum_are_each_one_change_of_the_small_row() -> None:
    row = "avsa/small-iv"
    layers = {"options.transformer": 2, "options.dropout": 0.1}
    stages = {"first_stage.task": "avc", "first_stage.train.steps": 1200, "train.steps": 1200}
    for name, expected in (
        ("transformer", layers),
        ("curriculum", stages),
        ("curriculum-transformer", layers | stages),
    ):
        different = changes(f"avsa/small-{name}", row)
        assert {key: value for key, value in different.items() if key != "published.avsa_bin"} == expected
    assert run_of(row).train.steps == 1200 + 1200


@pytest.mark.parametrize(("size", "steps"), [("small", 1200), ("full", 64350)])
def test_first_stages_are_the_recipes_of_avc_with_their_own_steps_and_no_probe(size: str, steps: int) -> None:
    (first, place), (second, _) = resolve_run(run_of(f"avsa/{size}-curriculum")).stages(Path("run"))
    assert (place, second.init) == (Path("run/first_stage"), str(place))
    assert (first.probe, first.init) == (None, "")
    own, recipe = (_flat(asdict(each)) for each in (first.config, run_of(f"avc/{size}")))
    own = {key: value for key, value in own.items() if not key.startswith("probe.")}
    recipe = {key: value for key, value in recipe.items() if not key.startswith("probe.")}
    assert own == {**recipe, "train.steps": steps}


def test_switches_are_each_one_change_of_the_row_that_they_are_compared_with() -> None:
    slow = {f"optim.{kind}.{part}_transformer": value for kind, value in (("lr_multipliers", 0.1), ("warmups", 150))
            for part in ("v2a", "a2v")}  # fmt: skip
    sigmoid = {"options.loss": "sigmoid", "options.temperature": 0.1, "options.loss_options.bias": -3.5}
    sigmoid |= {"optim.lr_multipliers.sigmoid_loss": 10}
    for name, row, expected in (
        ("transformer-slow", "avsa/small-transformer", slow),
        ("transformer-pre-norm", "avsa/small-transformer-slow", {"options.transformer_norm": "pre"}),
        ("transformer-directions", "avsa/small-transformer-pre-norm", {"options.relative_directions": 3}),
        ("transformer-embeddings", "avsa/small-transformer-directions", {"options.embedding_weight": 1}),
        ("yaw-negatives", "avsa/small", {"options.yaw_negatives": 2, "options.min_yaw": 30}),
        ("sigmoid", "avsa/small", sigmoid),
    ):
        assert changes(f"avsa/small-{name}", row) == expected
    assert changes("avc/small-sigmoid", "avc/small") == sigmoid


@pytest.mark.parametrize("task", ["avc", "avsa"])
def test_beam_with_its_ratio_differs_from_the_published_beam_in_the_feature_alone(task: str) -> None:
    assert changes(f"{task}/small-beam-ratio", f"{task}/small-beam") == {"features.name": "beam-ratio"}


@pytest.mark.parametrize("task", ["avc", "avsa"])
def test_objects_anywhere_change_options_of_guided_crops_alone(task: str) -> None:
    different = changes(f"{task}/small-iv-guided", f"{task}/small-iv-yolo")
    names = ("guided_offset", "guided_min_fov", "guided_max_fov", "guided_separation")
    own = {key for key in different if key.split(".")[-1] in names}
    assert different.keys() - own == {"probe.crop_guide"}
    assert {different[f"options.{name}"] for name in names} == {0.7, 60, 75, 40}
    assert changes("avsa/small-iv-guided-negatives", "avsa/small-iv-guided") == {"options.object_negatives": 2}
    run = resolve_run(run_of(f"{task}/small-iv-guided"))
    assert all(getattr(run.options, name) == getattr(run.probe, name) for name in names)


def test_full_avsa_has_published_transformers_and_half_the_epochs_from_scratch() -> None:
    options = run_of("avsa/full").options
    assert (options["transformer"], options["dropout"], options["crops"]) == (2, 0.1, 4)
    assert changes("avsa/full-scratch", "avsa/full") == {"train.steps": 2 * run_of("avsa/full").train.steps}
