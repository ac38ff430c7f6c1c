"""Time line of a stream by the time stamps of its packets: length and frame rate that headers may state wrongly."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avssl.errors import InputError

LONGEST_JUMP = 600.0
"""Maximum seconds from one packet to the next; more is a broken time stamp."""
LONGEST = 7 * 86400.0
"""Maximum seconds of a stream; a small file of slow frames could state years."""
LONGEST_STEP_BACK = 1.0
"""Maximum seconds by which decoding time stamps may descend; more is a stream that starts again."""
SHARED = 0.5
"""Minimum share of distinct time stamps among the frames of a video."""
FEW = 8
"""Frames that may share their time stamps."""
NOMINAL = 240.0
"""Frames per second up to which a header's rate may exceed the measured one: the nominal rate of variable video."""
LONGER = 2.5
"""Minimum ratio of the typical duration to the typical interval of packets at which durations are wrong."""
SLOWER = 0.9
"""Minimum ratio of a header's frame rate to the measured one; below it, frames would be lost."""


ROUNDING = 0.25
"""Seconds by which blocks and rounded time stamps may differ from an exact length."""


class Timeline(NamedTuple):
    """Extent of a stream."""

    seconds: float
    """From the start of the file to the end of the last packet; 0 for a stream without packets."""
    times: np.ndarray
    """Seconds of all packets, ascending, float64."""

    @property
    def rate(self) -> float:
        """Distinct time stamps per second; 0 for fewer than two."""
        distinct = len(np.unique(self.times))
        return float((distinct - 1) / (self.times[-1] - self.times[0])) if distinct > 1 else 0.0


def measure_timeline(path: Path, packets: Iterable[Any], tick: Fraction, zero: float) -> Timeline:
    """Measure a stream by all its packets, without decoding.

    Args:
        path: file, for errors.
        packets: packets of one stream, in stored order.
        tick: seconds per time stamp unit.
        zero: seconds that correspond to the start of the file.

    Raises:
        InputError: packets without time stamps, or time stamps that jump or start again.
    """
    stamps, lengths, latest, count = array("q"), array("q"), None, 0
    for packet in packets:
        count += bool(packet.size)
        shown = packet.dts if packet.pts is None else packet.pts
        if shown is None or packet.is_discard:
            continue
        stamps.append(shown)
        lengths.append(max(0, packet.duration or 0))
        if packet.dts is not None:
            latest = _in_order(path, packet.dts, latest, tick)
    if count and not stamps:
        raise InputError(f"{path}: expected frames with time stamps, got none; remux the stream to .mp4")
    times, lasting = (np.asarray(each, np.float64) * float(tick) for each in (stamps, lengths))
    return Timeline(_checked_end(path, np.sort(times) - zero, _end(times, lasting) - zero), np.sort(times) - zero)


def check_frame_times(path: Path, timeline: Timeline) -> Timeline:
    """Return the time line of a video whose frames have time stamps of their own.

    Raises:
        InputError: most frames share their time stamps.
    """
    count, distinct = len(timeline.times), len(np.unique(timeline.times))
    if count - distinct >= FEW and distinct < SHARED * count:
        raise InputError(f"{path}: expected a time stamp per frame, got {distinct} for {count} frames")
    return timeline


def plausible_rate(stated: float, measured: float) -> float:
    """Frame rate of a header in Hz, or the measured one where frames contradict the header; 0 if both are unknown."""
    if not measured:
        return stated if 0 < stated <= NOMINAL else 0.0
    return stated if SLOWER * measured <= stated <= max(NOMINAL, 2 * measured) else measured


def agreed_length(stated: float, measured: float) -> float:
    """Length of a header in seconds where packets agree with it, else the measured one.

    Packets of audio hold whole blocks, and their time stamps may be rounded: the header is more exact.
    """
    return stated if abs(stated - measured) <= ROUNDING else measured


def _in_order(path: Path, stamp: int, latest: int | None, tick: Fraction) -> int:
    """The latest decoding time stamp so far."""
    if latest is None or stamp >= latest:
        return stamp
    if (back := float((latest - stamp) * tick)) > LONGEST_STEP_BACK:
        at = float(latest * tick)
        raise InputError(f"{path}: expected ascending time stamps, got a step back of {back:.1f} s at {at:.1f} s")
    return latest


def _end(times: np.ndarray, lasting: np.ndarray) -> float:
    """End of the last packet in seconds; durations that the time stamps contradict as a whole are not believed."""
    if len(times) < 2:
        return float(times[0] + lasting[0]) if len(times) else 0.0
    typical = float(np.median(np.diff(np.sort(times))))
    if np.median(lasting) > LONGER * typical > 0:
        return float(times.max()) + typical
    return float((times + lasting).max())


def _checked_end(path: Path, times: np.ndarray, end: float) -> float:
    """End of the last packet in seconds, without a jump on the way to it."""
    if not len(times):
        return 0.0
    points = np.concatenate([[min(0.0, times[0])], times, [max(end, times[-1])]])
    widest = int(np.argmax(np.diff(points)))
    if (jump := points[widest + 1] - points[widest]) > LONGEST_JUMP:
        at = points[widest]
        raise InputError(
            f"{path}: expected time stamps at most {LONGEST_JUMP:.0f} s apart, got {jump:.0f} s at {at:.1f} s"
        )
    if points[-1] > LONGEST:
        raise InputError(
            f"{path}: expected a stream of at most {LONGEST:.0f} s, its time stamps reach {points[-1]:.0f} s"
        )
    return max(0.0, float(points[-1]))
