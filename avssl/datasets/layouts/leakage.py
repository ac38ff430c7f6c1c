"""Whether what is tested was trained on: the clips of test lists that stand in other lists too."""

from __future__ import annotations

from collections.abc import Collection, Mapping

Named = Mapping[str, Collection[str]]
TEST = "test"


def leakage(sets: Mapping[str, Named], others: Named) -> dict[str, dict[str, int]]:
    """How many test clips of each set of lists stand in its other lists, in further ones, and in other sets' tests.

    PseudoBinaural trains on one list of mono sources for all of its five splits of FAIR-Play, which holds 123 to 147 of
    the 187 test clips of each; and its five test sets overlap.

    Args:
        sets: set -> train, val, test -> clips.
        others: further lists, such as of mono sources, -> clips.

    Returns:
        Set -> `test`, their number; list -> how many of them it holds; `other tests`, how many another set tests too.
    """
    tests = {name: set(lists[TEST]) for name, lists in sets.items() if TEST in lists}
    found = {}
    for name, tested in tests.items():
        lists = {f"{name}/{part}": clips for part, clips in sets[name].items() if part != TEST}
        shared = {each: len(tested.intersection(clips)) for each, clips in {**lists, **others}.items()}
        elsewhere = set().union(*(clips for other, clips in tests.items() if other != name))
        found[name] = {TEST: len(tested)} | shared | {"other tests": len(tested & elsewhere)}
    return found
