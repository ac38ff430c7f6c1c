"""Configuration: defaults < recipe < flags, and errors that say what to do."""

import math
from dataclasses import dataclass

import pytest

from avssl.config import RunConfig, fill
from avssl.recipe_files import read_recipe, recipe_path, resolve


def test_later_layers_win():
    config = fill(RunConfig, {"optim": {"lr": 1.0, "warmup": 3}}, {"optim": {"lr": "2e-4"}})
    assert config.optim.lr == 2e-4
    assert config.optim.warmup == 3


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"optim": {"learning_rat": 1}}, "unknown key 'optim.learning_rat'"),
        ({"trian": {}}, "did you mean 'train'"),
        ({"optim": {"lr": "fast"}}, "optim.lr"),
        ({"optim": {"lr": -1}}, "optim.lr must be positive"),
        ({"data": {"seconds": math.inf}}, "expected data.seconds to be a finite number, got inf"),
        ({"data": {"frame_rate": math.nan}}, "expected data.frame_rate to be a finite number, got nan"),
        ({"optim": {"schedule": "cosin"}}, "did you mean 'cosine'"),
        ({"data": {"frames": 32, "seconds": 1.0}}, "do not fit"),
        ({"data": {"validation_seed": -1}}, "data.validation_seed must not be negative"),
        ({"data": {"validation_seed": 3, "synthetic_seed": 3}}, "expected another seed than synthetic_seed, got 3"),
        ({"data": {"validation_seed": 3, "manifest": "x"}}, "expected a synthetic dataset, got data.manifest"),
    ],
)
def test_a_wrong_key_or_value_is_named(layer, message):
    with pytest.raises(ValueError, match=message) as caught:
        fill(RunConfig, layer, where="recipe.yaml")
    assert len(str(caught.value).splitlines()) == 1


@dataclass(frozen=True)
class Renamed:
    """Keys that replaced others, one of which had two meanings."""

    min_bin: float = 1.0
    max_clips: int = 0


@pytest.mark.parametrize(("old", "new"), [("most_clips", "max_clips"), ("lowest", "min_bin")])
def test_an_old_key_is_answered_with_the_new_one(tmp_path, old, new):
    recipe = tmp_path / "old.yaml"
    recipe.write_text(f"{old}: 3\n")
    with pytest.raises(ValueError, match=f"^{recipe}: '{old}' is now '{new}'$"):
        resolve(Renamed, str(recipe))
    with pytest.raises(ValueError, match=f"^here: '{old}' is now '{new}'$"):
        resolve(Renamed, "", {old: 3}, where="here")


def test_a_recipe_may_stand_on_another(tmp_path):
    (tmp_path / "base.yaml").write_text("task: avc\noptim: {lr: 1.0, warmup: 5}\n")
    top = tmp_path / "top.yaml"
    top.write_text(f"base: {tmp_path / 'base.yaml'}\noptim: {{lr: 2.0}}\n")
    config = fill(RunConfig, read_recipe(str(top)))
    assert (config.task, config.optim.lr, config.optim.warmup) == ("avc", 2.0, 5)


def test_published_numbers_are_those_of_their_own_recipe_alone(tmp_path):
    (tmp_path / "base.yaml").write_text("task: avc\ntitle: row\npublished: {accuracy: 0.5}\n")
    top = tmp_path / "top.yaml"
    top.write_text(f"base: {tmp_path / 'base.yaml'}\ntitle: another\n")
    assert dict(read_recipe(str(tmp_path / "base.yaml")).published) == {"accuracy": 0.5}
    assert dict(read_recipe(str(top))) == {"task": "avc", "title": "another"}


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'avsa/small'"):
        recipe_path("avsa/smal")


def test_a_recipe_that_is_not_yaml_is_named(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [1\nb: }")
    with pytest.raises(ValueError, match="bad.yaml: expected a recipe in YAML, cannot be read"):
        read_recipe(str(tmp_path / "bad.yaml"))


@pytest.mark.parametrize("bases", [["a"], ["b", "a"], ["b", "c", "b"]])
def test_recipes_based_on_each_other_are_one_line_that_names_them(tmp_path, bases):
    for name, base in zip("abc", bases, strict=False):
        (tmp_path / f"{name}.yaml").write_text(f"base: {tmp_path / base}.yaml\ntask: avc\n")
    with pytest.raises(ValueError, match="got a circle") as caught:
        read_recipe(str(tmp_path / "a.yaml"))
    message = str(caught.value)
    assert "\n" not in message
    assert f"({' -> '.join(str(tmp_path / f'{name}.yaml') for name in ['a', *bases])})" in message


def test_two_recipes_may_stand_on_one_base(tmp_path):
    (tmp_path / "base.yaml").write_text("task: avc\n")
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(f"base: {tmp_path / 'base.yaml'}\n")
        assert read_recipe(str(tmp_path / f"{name}.yaml")).task == "avc"
