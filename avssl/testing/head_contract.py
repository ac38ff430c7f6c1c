"""Contract of a downstream head as assertions."""

from __future__ import annotations

import math
from pathlib import Path

from avssl.head import Head


def check_head(head: Head, folder: Path) -> dict[str, float]:
    """Hold a head against the contract of `avssl.head.Head`.

    `fit` returns finite numbers by name, the same ones when it is called again, and leaves the encoders' weights as
    they were.

    Args:
        head: a head with its encoders and options, on data that it can be fitted to in seconds.
        folder: an empty folder, which two results are written to.

    Returns:
        The numbers.

    Raises:
        AssertionError: a clause is broken; the message names it.
    """
    before = head.encoders.fingerprint() if head.encoders is not None else ""
    first, again = (_fitted(head, folder / name) for name in ("first", "again"))
    after = head.encoders.fingerprint() if head.encoders is not None else ""
    assert before == after, "fit changed the weights of the encoders that the head was given; train a copy"
    different = sorted(name for name in first.keys() | again.keys() if first.get(name) != again.get(name))
    assert not different, f"two fits with the same options differ in {', '.join(different)}; seed every random draw"
    return first


def _fitted(head: Head, folder: Path) -> dict[str, float]:
    folder.mkdir(parents=True)
    found = head.fit(folder)
    assert isinstance(found, dict), f"fit returns {{name: number}}, not {type(found).__name__}"
    assert found, "fit returned no number"
    for name, value in found.items():
        assert isinstance(name, str), f"fit returns numbers by name, {name!r} is no text"
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        assert number, f"fit's {name!r} is a number, not {value!r:.80}"
        assert math.isfinite(value), f"fit's {name!r} is finite, not {value}"
    return found
