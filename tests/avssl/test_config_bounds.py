"""No number of any config, those of plug-ins included, fills the memory or is infinite."""

import dataclasses
import math
import typing

import pytest

from avssl import plugins
from avssl.config import FeatureConfig, OptimConfig, RunConfig, fill
from avssl.config_bounds import LARGEST
from avssl.config_fields import options_plugin
from avssl.detection.training.train_detector import DetectorConfig
from avssl.models.geometry import InputGeometry
from avssl.recipe_files import read_recipe, resolve

GROUPS = (plugins.TASKS, plugins.HEADS, plugins.GENERATORS, plugins.SYNTHETIC_DATASETS)


def configs():
    for kind in (RunConfig, DetectorConfig, InputGeometry):
        yield kind.__name__, kind
    for group in GROUPS:
        for name in plugins.names(group):
            yield name, plugins.load_options(group, name)


def numbers(kind, prefix=""):
    """Dotted keys of all numbers, with their type."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint, key = hints[field.name], prefix + field.name
        kinds = {hint, *typing.get_args(hint)}
        if dataclasses.is_dataclass(hint):
            yield from numbers(hint, f"{key}.")
        elif options_plugin(field) is None and kinds & {int, float} and bool not in kinds:
            yield key, float if float in kinds else int, typing.get_origin(hint)


CASES = [(name, kind, key, number, origin) for name, kind in configs() for key, number, origin in numbers(kind)]


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def refused(kind, key, value, origin):
    given = {list: [value], dict: {"name": value}}.get(origin, value)
    with pytest.raises(ValueError, match=r"\w") as caught:
        fill(kind, nested(key, given))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_kind_of_config_has_numbers():
    assert len(CASES) > 200
    assert {key for _, _, key, _, _ in CASES} >= {"optim.lr", "features.mels", "published", "optim.milestones", "fov"}


@pytest.mark.parametrize(("name", "kind", "key", "number", "origin"), CASES, ids=lambda each: str(each)[:40])
def test_infinity_nan_and_absurd_sizes_are_refused_by_name(name, kind, key, number, origin):
    if number is float:
        for value in (math.inf, -math.inf, math.nan):
            assert f"expected {key}" in refused(kind, key, value, origin)
    last = key.rpartition(".")[2]
    if last in LARGEST:
        assert f"expected {key} of at most {LARGEST[last]:g}, got 1e+09" in refused(kind, key, 10**9, origin)
    elif number is int:
        assert key.rpartition(".")[2] in refused(kind, key, 2**63, origin)


def test_options_of_a_plugin_are_bounded_inside_a_run_too():
    assert "options.embedding of at most 16384, got 1e+09" in refused(RunConfig, "options.embedding", 10**9, None)
    assert "probe.hidden of at most 16384" in refused(RunConfig, "probe.hidden", 10**9, None)
    assert "options.colour.hue to be a finite number" in refused(RunConfig, "options.colour.hue", math.nan, None)


def test_values_that_contain_others_without_end_are_refused():
    deep = {}
    for _ in range(17):
        deep = {"a": deep}
    assert "16 deep at most" in refused(RunConfig, "options", deep, None)
    for _ in range(100_000):
        deep = {"a": deep}
    assert "nested too deep" in refused(RunConfig, "options", deep, None)
    assert "cannot" not in refused(OptimConfig, "lr", "${lr}", None)


@pytest.mark.parametrize("layer", [[1], "mels: 3", 5, None, [["mels", 3]]])
def test_a_config_that_is_no_mapping_is_refused(layer):
    with pytest.raises(ValueError, match="config.json: expected a mapping of keys to values, got"):
        fill(FeatureConfig, layer, where="config.json")


@pytest.mark.parametrize("flag", ["weight_decay", "clip_norm"])
def test_the_dataclasses_themselves_refuse_infinity(flag):
    with pytest.raises(ValueError, match=f"optim.{flag} must not be negative or infinite"):
        OptimConfig(**{flag: math.inf})
    with pytest.raises(ValueError, match="fov"):
        InputGeometry(1.0, 4, 4.0, 32, 0.0, 200.0)


@pytest.mark.parametrize("base", ["5", "[a, b]", "{a: b}", "true", "1.5", "2001-01-01"])
def test_a_base_that_is_no_name_is_one_line(tmp_path, base):
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: {base}\ntask: avc\n")
    with pytest.raises(ValueError, match=r"expected the name or path of a recipe as base|no recipe '2001") as caught:
        read_recipe(str(path))
    assert "\n" not in str(caught.value)


def test_recipes_on_one_another_end(tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.yaml").write_text(f"base: {tmp_path / str(number + 1)}.yaml\ntask: avc\n")
    with pytest.raises(ValueError, match="15.yaml: expected at most 16 recipes on one another"):
        read_recipe(str(tmp_path / "0.yaml"))


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "32 deep at most"),
        ("".join(" " * depth + "a:\n" for depth in range(40)), "32 deep at most"),
        ("a: &a {a: *a}", "inside itself"),
        (BOMB, "100000 values at most"),
        ("x: " + "[1, 2]\n" + "#" * 2**20, "of 1 MiB at most"),
        ("task: !!python/object/apply:os.getcwd []", "cannot be read"),
        ("task: {a: b}", "task"),
        ("? [a]\n: 1", "cannot be read"),
        ('optim: {lr: "${optim.lr}"}', "lr"),
    ],
)
def test_a_hostile_recipe_is_one_short_line(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"\w") as caught:
        resolve(RunConfig, str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
