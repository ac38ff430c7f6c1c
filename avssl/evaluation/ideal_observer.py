"""Ideal observers of pairs of audio and view, from ground truth: a ceiling for the accuracies of pretext tasks.

An observer compares the sources of the audio with the objects in view. A source fits an object of its kind (observer of
kinds), one in its own direction (of directions), or one of its kind in its direction (of both). In order of weight, the
score of a pair counts: sources in view that fit nothing there, against; sources that fit, for; objects of a kind that
sounds without a source in their direction, against; other objects in view that nothing fits, against, which only breaks
ties. The last observer also knows which objects in view sound, as several frames can show it: to it, an object that
sounds without a source in its direction counts as much as a source that fits nothing.
"""

# B examples, K views of an example, N objects of a scene (padded), S sources, M kinds; leading axes broadcast

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avssl.evaluation.scene_truth import SceneObjects

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

KINDS, DIRECTIONS, BOTH, ACTIVITY = (f"_ideal_{name}" for name in ("kinds", "directions", "both", "activity"))
OBSERVERS = {KINDS: "kinds", DIRECTIONS: "directions", BOTH: "both", ACTIVITY: "both+activity"}
"""Ending of a metric for each observer -> its label in tables."""
CONTRADICTION, ABSENT, SILENT = 100.0, 0.1, 0.01
"""Weights of evidence against a pair, beside 1 for a source that fits; each is below the one before by more than the
number of objects in a scene."""
SAME_DIRECTION = np.radians(1.0)
"""Largest angle between a source and its object; directions of the truth are exact."""
WHOLE = (np.pi, np.pi)
"""Half fields of a view of the whole sphere."""


@dataclass(frozen=True)
class ViewTruth:
    """Objects of a scene in the axes of a view (front, left, up), and the extent of the view."""

    direction: Floats
    """`(..., N, 3)` unit vectors."""
    kind: NDArray[np.int64]
    """`(..., N)`, -1 where there is no object."""
    sounding: Bools
    """`(..., N)`."""
    seen: Bools
    """`(..., N)` whether any part of the object is in view."""
    lens: Floats
    """`(..., 2)` half fields of view, horizontal and vertical, radians."""

    def __getitem__(self, index: object) -> ViewTruth:
        """Index the leading axes."""
        return ViewTruth(*(getattr(self, each.name)[index] for each in fields(self)))

    def mirrored(self) -> ViewTruth:
        """The scene mirrored left to right."""
        return ViewTruth(self.direction * np.array([1.0, -1.0, 1.0]), self.kind, self.sounding, self.seen, self.lens)


def view_truth(scenes: Sequence[SceneObjects], to_front: Floats, lens: Floats) -> ViewTruth:
    """Ground truth in the axes of views, with leading axes `(B, K)`.

    Args:
        scenes: B scenes.
        to_front: `(B, K, 3, 3)` from the axes of the scene to those of each view.
        lens: `(B, K, 2)` half fields of view, radians.
    """
    count = max(1, *(len(each.kind) for each in scenes))
    rows = [[getattr(each, name) for each in scenes] for name in ("direction", "kind", "sounding", "visible", "radius")]
    fill = (0, -1, False, False, 0)
    direction, *others = (_padded(row, count, value) for row, value in zip(rows, fill, strict=True))
    kind, sounding, visible, radius = (np.repeat(each[:, None], lens.shape[1], 1) for each in others)
    turned: Floats = np.einsum("bkij,bnj->bkni", to_front, direction)
    return ViewTruth(turned, kind, sounding, visible & within(turned, lens, radius), lens)


def within(direction: Floats, lens: Floats, margin: Floats | float = 0.0) -> Bools:
    """Whether directions `(..., N, 3)` lie in views of half fields `(..., 2)`, up to a margin in radians."""
    horizontal, vertical = (
        np.arctan2(np.abs(direction[..., axis]), direction[..., 0]) <= lens[..., None, axis - 1] + margin
        for axis in (1, 2)
    )
    return np.asarray(horizontal & vertical)


def pair_scores(audio: ViewTruth, video: ViewTruth) -> dict[str, Floats]:
    """Scores of the observers for pairs of audio and view; higher: more likely a match.

    Args:
        audio: truth of the audio, in the axes that its sound field is rotated to.
        video: truth of the views; leading axes broadcast against those of `audio`.

    Returns:
        Observer, of `OBSERVERS` -> scores with the broadcast leading axes.
    """
    near = np.einsum("...sx,...ox->...so", audio.direction, video.direction) >= np.cos(SAME_DIRECTION)
    sources = audio.sounding[..., :, None]
    same_kind = (audio.kind[..., :, None] == video.kind[..., None, :]) & sources
    both, none = near & same_kind, np.zeros(1, bool)
    return {
        KINDS: _score_of_kinds(audio, video),
        DIRECTIONS: _score_of_fits(near & sources, none, none, audio, video),
        BOTH: _score_of_fits(both, same_kind.any(-2), none, audio, video),
        ACTIVITY: _score_of_fits(both, none, video.sounding, audio, video),
    }


def _score_of_fits(fits: Bools, expected: Bools, certain: Bools, audio: ViewTruth, video: ViewTruth) -> Floats:
    """Score from what fits where.

    Args:
        fits: `(..., S, N)` sources by objects.
        expected: `(..., N)` objects that should have a source, unless another of their kind has it.
        certain: `(..., N)` objects that have a source for certain.
        audio: truth of the audio.
        video: truth of the view.
    """
    fits = fits & video.seen[..., None, :]
    explained, lacking = fits.any(-1), video.seen & ~fits.any(-2)
    contradicting = audio.sounding & within(audio.direction, video.lens) & ~explained
    against = _count(contradicting) + _count(lacking & certain)
    return _count(explained) - CONTRADICTION * against - ABSENT * _count(lacking & expected) - SILENT * _count(lacking)


def _score_of_kinds(audio: ViewTruth, video: ViewTruth) -> Floats:
    """Score from the sets of kinds that sound and that are in view; what is outside a crop is unknown."""
    kinds = np.arange(1 + max(audio.kind.max(), video.kind.max(), 0))
    sounding: Bools = ((audio.kind[..., None] == kinds) & audio.sounding[..., None]).any(-2)
    seen: Bools = ((video.kind[..., None] == kinds) & video.seen[..., None]).any(-2)
    whole = (video.lens >= np.array(WHOLE)).all(-1, keepdims=True)
    missing: Bools = sounding & ~seen & whole
    return _count(sounding & seen) - CONTRADICTION * _count(missing) - SILENT * _count(seen & ~sounding)


def _count(which: Bools | np.bool_) -> Floats:
    return np.asarray(np.sum(which, -1), float)


def _padded(rows: Sequence[NDArray[Any]], count: int, fill: float) -> NDArray[Any]:
    """Rows `(N_i, ...)` of B scenes as `(B, count, ...)`."""
    return np.stack([np.concatenate([r, np.full((count - len(r), *r.shape[1:]), fill, r.dtype)]) for r in rows])
