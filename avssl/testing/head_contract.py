"""Contract check of downstream heads."""

from __future__ import annotations

import math
from pathlib import Path

from avssl.head import Head


def check_head(head: Head, folder: Path) -> dict[str, float]:
    """Check a head against the contract of `avssl.head.Head`.

    `fit` returns finite numbers by name, the same in a second call, and does not change the weights of the encoders.

    Args:
        head: head with encoders and options, on data that it can be fitted to in seconds.
        folder: empty folder for both results.

    Returns:
        Metrics of `fit`.

    Raises:
        AssertionError: a violation of the contract.
    """
    before = head.encoders.fingerprint() if head.encoders is not None else ""
    first, again = (_fitted(head, folder / name) for name in ("first", "again"))
    after = head.encoders.fingerprint() if head.encoders is not None else ""
    assert before == after, "expected unchanged encoders, fit changed their weights; train a copy"
    different = sorted(name for name in first.keys() | again.keys() if first.get(name) != again.get(name))
    assert not different, f"two fits with the same options differ in {', '.join(different)}; seed every random draw"
    return first


def _fitted(head: Head, folder: Path) -> dict[str, float]:
    folder.mkdir(parents=True)
    metrics = head.fit(folder)
    assert isinstance(metrics, dict), f"expected {{name: number}} from fit, got {type(metrics).__name__}"
    assert metrics, "expected numbers from fit, got none"
    for name, value in metrics.items():
        assert isinstance(name, str), f"expected names of metrics as str, got {name!r}"
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        assert number, f"expected {name!r} of fit as a number, got {value!r:.80}"
        assert math.isfinite(value), f"expected a finite {name!r} from fit, got {value}"
    return metrics
