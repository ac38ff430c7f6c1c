"""Plug-ins: found by name, imported only when asked for, and errors that name who is at fault."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from avssl import plugins
from avssl.errors import InputError

GROUP = plugins.TASKS


def install(folder: Path, distribution: str, **entries: str) -> None:
    """Lay a distribution with entry points where Python looks for packages."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = {value}" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("plugin_under_test")]:
        del sys.modules[name]


def test_a_distribution_with_an_entry_point_appears_and_loads(site: Path) -> None:
    (site / "plugin_under_test.py").write_text("class Quiet: ...\n")
    install(site, "quiet-avssl", quiet="plugin_under_test:Quiet")
    assert plugins.names(GROUP)["quiet"] == "quiet-avssl"
    assert "plugin_under_test" not in sys.modules
    assert plugins.load(GROUP, "quiet").__name__ == "Quiet"


def test_an_unknown_name_lists_what_is_installed_and_suggests() -> None:
    with pytest.raises(ValueError, match=r"named 'avsaa'; installed: .*avsa.*did you mean 'avsa'"):
        plugins.load(GROUP, "avsaa")


def test_two_distributions_under_one_name_are_both_named(site: Path) -> None:
    install(site, "first-avssl", twice="plugin_under_test:A")
    install(site, "second-avssl", twice="plugin_under_test:B")
    with pytest.raises(ValueError, match="registered by both first-avssl and second-avssl"):
        plugins.load(GROUP, "twice")


def test_a_plugin_that_fails_to_import_fails_alone_and_only_when_asked_for(site: Path) -> None:
    (site / "plugin_under_test.py").write_text("import a_module_that_is_not_there\n")
    install(site, "broken-avssl", broken="plugin_under_test:Broken")
    assert {"broken", "avsa"} <= plugins.names(GROUP).keys()
    assert plugins.load(GROUP, "avsa").__name__ == "Avsa"
    with pytest.raises(ValueError, match=r"'broken' \(plugin_under_test:Broken\).*a_module_that_is") as caught:
        plugins.load(GROUP, "broken")
    assert "\n" not in str(caught.value)


def test_an_entry_point_that_names_nothing_is_an_input_error(site: Path) -> None:
    (site / "plugin_under_test.py").write_text("")
    install(site, "stale-avssl", stale="plugin_under_test:Gone")
    with pytest.raises(InputError, match=r"'stale' \(plugin_under_test:Gone\) does not import.*no attribute 'Gone'"):
        plugins.load(GROUP, "stale")


def test_a_bug_on_import_of_a_plugin_keeps_its_traceback_and_names_it(site: Path) -> None:
    (site / "plugin_under_test.py").write_text("import math\nmath.sqrt(-1)\n")
    install(site, "buggy-avssl", buggy="plugin_under_test:Buggy")
    with pytest.raises(ValueError, match="math domain error") as caught:
        plugins.load(GROUP, "buggy")
    assert type(caught.value) is ValueError
    assert "'buggy' (plugin_under_test:Buggy)" in caught.value.__notes__[0]


def test_names_import_neither_the_plugins_nor_torch() -> None:
    code = (
        "import sys; from avssl import plugins; plugins.names(plugins.TASKS); plugins.names(plugins.HEADS); "
        "print(*[name for name in ('torch', 'avssl_tasks', 'avssl_downstream') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
