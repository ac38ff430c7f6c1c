"""Metrics over the clips whose left and right differ in level, as in the second table of Lu et al. 2019."""

# C channels, S samples

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from avssl_downstream.spatialize.evaluation_rows import MODEL
from avssl_downstream.spatialize.metrics import EXPLAINED, Metrics, clip_means

ROWS = {MODEL: "", "mono": "mono_", "oracle": "oracle_"}
"""Row -> prefix of its metrics, after `filtered_`."""
SHOWN = ("stft", "env", EXPLAINED, f"{EXPLAINED}_low", f"{EXPLAINED}_high", "level_error_db", "time_error_us")
SILENCE = 1e-12
"""Energy that is added to both channels."""


def level_difference(target: Tensor) -> float:
    """Difference of level between left and right of binaural audio `(2, S)`, dB, whichever is louder; 0 for silence."""
    left, right = (target.double().square().sum(-1) + SILENCE).tolist()
    return abs(10 * math.log10(left / right))


def filtered_metrics(
    clips: Mapping[str, Sequence[Metrics]], differences: Sequence[float], groups: Sequence[str], least: float
) -> Metrics:
    """Metrics over the clips whose channels differ in level.

    Args:
        clips: row of an evaluation -> metrics of each clip.
        differences: of each clip, see `level_difference`.
        groups: recording of each clip.
        least: difference from which a clip is kept, dB.

    Returns:
        `filtered_stft` and others of the generator, `filtered_mono_...` of mono audio, `filtered_oracle_...` of ideal
        masks; `filtered_stft_below_mono` and `filtered_env_below_mono`, the shares by which the generator's error is
        below that of mono; `filtered_share`, the share of the clips that is kept; `filtered_db`, the difference. Where
        none is kept, the last two alone.
    """
    kept = [index for index, difference in enumerate(differences) if difference >= least]
    found = {"filtered_db": least, "filtered_share": len(kept) / len(differences)}
    for row, prefix in ROWS.items() if kept else ():
        means = clip_means([clips[row][index] for index in kept], [groups[index] for index in kept])
        found |= {f"filtered_{prefix}{name}": means[name] for name in SHOWN if name in means}
    for name in ("stft", "env") if kept else ():
        if found[f"filtered_mono_{name}"]:
            found[f"filtered_{name}_below_mono"] = 1 - found[f"filtered_{name}"] / found[f"filtered_mono_{name}"]
    return found
