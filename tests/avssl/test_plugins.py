"""Plug-ins: discovery by name, lazy imports, and errors that name the plug-in."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from avssl_downstream.spatialize.registry import get_generator

from avssl import plugins
from avssl.datasets.layout import load_layout
from avssl.errors import InputError
from avssl.plugins import nearest
from avssl.recipe_files import recipe_path
from avssl.synth.dataset_base import load_synthetic_dataset

OURS = {
    plugins.TASKS: "avsa",
    plugins.HEADS: "action",
    plugins.GENERATORS: "foa360",
    plugins.LAYOUTS: "ucf101",
    plugins.SYNTHETIC_DATASETS: "synth360",
    plugins.BENCHMARKS: "spatialize",
    plugins.ENCODERS: "avsa-foa-iv-small",
}
"""Entry-point group -> a built-in plug-in."""
groups = pytest.mark.parametrize("group", list(plugins.KINDS))
shipped_groups = pytest.mark.parametrize("group", list(OURS))


def install(folder: Path, group: str, distribution: str, **entries: str) -> None:
    """Install a distribution with entry points on the import path."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = {value}" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("plugin_under_test")]:
        del sys.modules[name]


@groups
def test_a_distribution_with_an_entry_point_appears_and_loads(site: Path, group: str) -> None:
    (site / "plugin_under_test.py").write_text("class Quiet: ...\n")
    install(site, group, "quiet-avssl", quiet="plugin_under_test:Quiet")
    assert plugins.names(group)["quiet"] == "quiet-avssl"
    assert "plugin_under_test" not in sys.modules
    assert plugins.load(group, "quiet").__name__ == "Quiet"


@shipped_groups
def test_an_unknown_name_lists_what_is_installed_and_suggests(group: str) -> None:
    name, kind = OURS[group], plugins.KINDS[group]
    message = rf"^no {kind} named '{name}a' \(did you mean '{name}'\?\); installed: .*{name}"
    for look in (plugins.load, plugins.check_installed):
        with pytest.raises(ValueError, match=message) as caught:
            look(group, f"{name}a")
        assert "\n" not in str(caught.value)


@groups
def test_two_distributions_under_one_name_are_both_named(site: Path, group: str) -> None:
    install(site, group, "first-avssl", twice="plugin_under_test:A")
    install(site, group, "second-avssl", twice="plugin_under_test:B")
    with pytest.raises(ValueError, match="'twice' is registered by both first-avssl and second-avssl"):
        plugins.load(group, "twice")


@shipped_groups
def test_a_plugin_that_fails_to_import_fails_only_when_loaded(site: Path, group: str) -> None:
    (site / "plugin_under_test.py").write_text("import a_module_that_is_not_there\n")
    install(site, group, "broken-avssl", broken="plugin_under_test:Broken")
    assert {"broken", OURS[group]} <= plugins.names(group).keys()
    loaded = plugins.load(group, OURS[group])
    assert isinstance(loaded, ModuleType) if group == plugins.ENCODERS else callable(loaded)
    with pytest.raises(ValueError, match=r"'broken' \(plugin_under_test:Broken\).*a_module_that_is") as caught:
        plugins.load(group, "broken")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("group", "load", "contract"),
    [
        (plugins.LAYOUTS, load_layout, "avssl.datasets.layout.Layout"),
        (plugins.GENERATORS, get_generator, "avssl_downstream.spatialize.generator.Generator"),
        (plugins.SYNTHETIC_DATASETS, load_synthetic_dataset, "avssl.synth.dataset_base.SyntheticDataset"),
    ],
)
def test_a_plugin_of_another_base_class_is_an_error(
    site: Path, group: str, load: Callable[[str], type], contract: str
) -> None:
    (site / "plugin_under_test.py").write_text("class Quiet: ...\n")
    install(site, group, "quiet-avssl", quiet="plugin_under_test:Quiet")
    with pytest.raises(ValueError, match=rf"{plugins.KINDS[group]} 'quiet': expected a subclass of {contract}, got"):
        load("quiet")


@groups
def test_an_entry_point_that_names_nothing_is_an_input_error(site: Path, group: str) -> None:
    (site / "plugin_under_test.py").write_text("")
    install(site, group, "stale-avssl", stale="plugin_under_test:Gone")
    with pytest.raises(InputError, match=r"'stale' \(plugin_under_test:Gone\) does not import.*no attribute 'Gone'"):
        plugins.load(group, "stale")


@groups
def test_a_bug_on_import_of_a_plugin_keeps_its_traceback_and_names_it(site: Path, group: str) -> None:
    (site / "plugin_under_test.py").write_text("import math\nmath.sqrt(-1)\n")
    install(site, group, "buggy-avssl", buggy="plugin_under_test:Buggy")
    with pytest.raises(ValueError, match="math domain error") as caught:
        plugins.load(group, "buggy")
    assert type(caught.value) is ValueError
    assert "'buggy' (plugin_under_test:Buggy)" in caught.value.__notes__[0]


def test_names_import_neither_the_plugins_nor_torch() -> None:
    code = (
        "import sys; from avssl import plugins; [plugins.names(group) for group in plugins.KINDS]; "
        "print(*[name for name in ('torch', 'avssl.data', 'avssl_tasks', 'avssl_downstream') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_errors_list_all_of_a_few_names_and_the_nearest_of_many():
    assert nearest("b", ["a", "b"]) == "a, b"
    many = [f"avsa/{number:03}" for number in range(200)]
    near, rest = nearest("avsa/12", many).split(" and ")
    assert all("12" in each or ("1" in each and each.endswith("2")) for each in near.split(", "))
    assert rest == "195 more"
    with pytest.raises(InputError) as caught:
        recipe_path("avsa/smal")
    assert "(did you mean 'avsa/small'?); shipped: avsa/small, " in str(caught.value)
    assert len(str(caught.value)) < 200
