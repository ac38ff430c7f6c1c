"""The columns of a report: which metrics it shows, and how their numbers are written."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from avssl.errors import InputError
from avssl.plugins import hint, nearest

TITLES = {
    "avsa_bin": "AVSA-Bin",
    "avc_bin": "AVC-Bin",
    "guided_avsa_bin": "AVSA-Bin, guided crops",
    "guided_avc_bin": "AVC-Bin, guided crops",
    "avsa_bin_1": "1-crop AVSA-Bin",
    "avc_bin_1": "1-crop AVC-Bin",
    "accuracy": "accuracy",
    "audio_to_video_r1": "R@1 audio to video",
    "audio_to_video_r5": "R@5 audio to video",
    "audio_to_video_r10": "R@10 audio to video",
    "audio_to_video_map_r": "MAP@R audio to video",
    "video_to_audio_r1": "R@1 video to audio",
    "video_to_audio_r5": "R@5 video to audio",
    "video_to_audio_r10": "R@10 video to audio",
    "video_to_audio_map_r": "MAP@R video to audio",
    "audio_to_video_median_rank": "median rank audio to video",
    "video_to_audio_median_rank": "median rank video to audio",
    "avsa_bin_cosine": "AVSA-Bin by cosine",
    "avc_bin_cosine": "AVC-Bin by cosine",
    "test_explained": "energy explained",
    "test_swap_acc": "Swap-Acc",
    "test_avsa_acc": "AVSA-Acc",
    "test_avc_acc": "AVC-Acc",
    "clips_per_second": "clips/s",
    "train_seconds": "training, s",
    "peak_memory_mb": "peak memory, MB",
    "peak_gpu_memory_mb": "peak GPU memory, MB",
}
CHANCE = {
    "avsa_bin": 0.5,
    "avc_bin": 0.5,
    "guided_avsa_bin": 0.5,
    "guided_avc_bin": 0.5,
    "avsa_bin_1": 0.5,
    "avc_bin_1": 0.5,
    "test_swap_acc": 0.5,
}
SPEED = "clips_per_second"
COSTS = (SPEED, "train_seconds", "peak_memory_mb", "peak_gpu_memory_mb", "wait_share", "memory_mb")
"""Metrics of the machine, not of the encoders: differences are not computed."""
HELD_OUT = "test_"
OBSERVERS = {"_ideal_kinds": "kinds", "_ideal_directions": "directions", "_ideal_both": "both"}
"""Ending of the metric of an ideal observer -> its label."""
_REFERENCE = re.compile(r"_(chance|ideal|ideal_[a-z]+|any_object|cosine)$|^(?!test_)[a-z_]+_explained(_low|_high)?$")
"""Metrics that stand beside others, shown where they are asked for."""
_SHARE = re.compile(
    r"(^|_)(accuracy|top5)(_|$)|_(acc|bin(_\d+)?|share)(_cosine)?(_low|_high|_chance|_ideal_[a-z]+)?$"
    r"|_to_(audio|video)_(r\d+|map_r)(_chance|_ideal_[a-z]+)?$"
)
_GAIN = re.compile(r"_below_[a-z_]+$|_explained(_low|_high)?$")


@dataclass(frozen=True)
class Column:
    """One metric."""

    name: str
    """As in `metrics.json`."""
    label: str = ""
    """Heading without its unit; empty: the field's name of the metric."""
    level: float | None = None
    """Chance level; None: that of the metric, where it is known."""

    @property
    def title(self) -> str:
        """The heading, with its unit."""
        title = self.label or TITLES.get(self.name, self.name.removeprefix(HELD_OUT))
        return f"{title} %" if self.share else title

    @property
    def share(self) -> bool:
        """Whether it is shown in per cent: a share from 0 to 1, or of an error or energy, which may be negative."""
        return is_share(self.name) or bool(_GAIN.search(self.name))

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest possible value: 0 and 1 of a share; a gain over something better is negative."""
        if _GAIN.search(self.name):
            return -math.inf, 1.0
        return (0.0, 1.0) if self.share else (-math.inf, math.inf)

    @property
    def chance(self) -> float | None:
        """Chance level, where it is known."""
        return CHANCE.get(self.name) if self.level is None else self.level

    @property
    def compared(self) -> bool:
        """Whether rows are compared by it."""
        return self.name not in COSTS

    def text(self, value: float, like: float, sign: str = "") -> str:
        """A number as it is shown: one decimal of per cents, else as many as make three digits of `like`.

        Args:
            value: as in `metrics.json`.
            like: a number of usual size, so that all that is said of it has the same decimals.
            sign: "+" to show it.
        """
        scale, size = (100.0, 10.0) if self.share else (1.0, abs(like))
        digits = next((digits for digits, least in enumerate((100, 10, 1, 0.1, 0.01)) if size >= least), 5)
        rounded = round(scale * value, digits) or 0.0  # no negative zero
        return f"{rounded:{sign}.{digits}f}"


def is_share(metric: str) -> bool:
    """Whether a metric is a share from 0 to 1, by its name."""
    return bool(_SHARE.search(metric))


def columns(metrics: Collection[str], wanted: Sequence[str] = ()) -> list[Column]:
    """The columns to show: accuracies with an interval first, then the task's scalars on held-out clips, then speed.

    Args:
        metrics: names that at least one run has.
        wanted: names to show instead, in this order.

    Raises:
        InputError: no run has a wanted metric, or there is none to show.
    """
    for name in wanted:
        if name not in metrics:
            raise InputError(f"no run has the metric {name!r}{hint(name, metrics)}; there are {nearest(name, metrics)}")
    own = [name for name in metrics if not _REFERENCE.search(name)]
    measured = [name for name in own if name in CHANCE or {f"{name}_low", f"{name}_high"} <= set(metrics)]
    tested = [name for name in own if name.startswith(HELD_OUT) and name != f"{HELD_OUT}loss"]
    speed = [name for name in metrics if name == SPEED]
    shown = dict.fromkeys(wanted or [*_in_order(measured), *_in_order(tested), *speed])
    if not shown:
        raise InputError(f"no run was measured on held-out clips; choose metrics to show, of {', '.join(metrics)}")
    return [Column(name) for name in shown]


def _in_order(names: Collection[str]) -> list[str]:
    """Known ones first."""
    return sorted(names, key=lambda name: list(TITLES).index(name) if name in TITLES else len(TITLES))
