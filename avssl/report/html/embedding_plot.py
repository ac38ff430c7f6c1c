"""Embeddings of evaluation clips in two dimensions, by PCA, t-SNE and MDS of scikit-learn."""

from __future__ import annotations

import colorsys
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avssl.report.html.axes import COLOURS, Axes, legend, span
from avssl.report.html.elements import figure, missing, note, text
from avssl.runs.evaluated_clips import TOWERS, EvaluatedClip, EvaluatedClips

Points = NDArray[np.float64]
PROBE = "avssl downstream correspondence --encoders RUN --data DATA"
LEAST = 5
"""Clips from which on a plot says something."""
DRAWN = 1000
"""Clips of a plot at most, evenly spaced: t-SNE of more takes minutes."""
MDS_CLIPS = 300
"""Clips up to which distances of all pairs are scaled: its time grows with the square."""
PERPLEXITY = 30.0
"""Of t-SNE, scikit-learn's default; a third of the clips where these are few."""


def embedding_plots(found: EvaluatedClips) -> str:
    """Figures of each tower and projection; a line where there are no embeddings."""
    drawn = [_tower(found, tower) for tower in TOWERS]
    return "".join(drawn) or missing("No embeddings are stored with these clips; those of encoders are by", PROBE)


def projections(embeddings: Points) -> dict[str, Points]:
    """Embeddings `(N, width)` in two dimensions: name of the method -> `(N, 2)`.

    Columns are standardised for PCA and t-SNE alike, which starts from PCA; MDS takes cosine distances.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    rows = StandardScaler().fit_transform(embeddings)
    flat = PCA(2, random_state=0).fit(rows)
    share = 100 * float(flat.explained_variance_ratio_.sum())
    found = {f"PCA ({share:.0f} % of the variance)": flat.transform(rows)}
    methods: list[tuple[str, Callable[[], Points]]] = [("t-SNE", lambda: _tsne(rows))]
    if len(rows) <= MDS_CLIPS:
        methods.append(("MDS of cosine distances", lambda: _mds(embeddings)))
    for name, method in methods:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # defaults that change with the version
            found[name] = np.asarray(method(), float)
    return found


def _tsne(rows: Points) -> Points:
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    points: Points = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(rows)
    return points


def _mds(embeddings: Points) -> Points:
    from sklearn.manifold import MDS
    from sklearn.metrics import pairwise_distances

    distances = pairwise_distances(embeddings, metric="cosine")
    options: dict[str, Any] = {"n_init": 1, "random_state": 0}
    points: Points = MDS(2, dissimilarity="precomputed", **options).fit_transform(distances)
    return points


def _tower(found: EvaluatedClips, tower: str) -> str:
    clips, embeddings = found.embeddings(tower)
    step = max(1, math.ceil(len(clips) / DRAWN))
    known = [at for at in range(0, len(clips), step) if np.isfinite(embeddings[at]).all()]
    clips, rows = [clips[at] for at in known], embeddings[known].astype(np.float64)
    if len(clips) < LEAST or not rows.std(0).any():
        return ""
    colours, key = _colours(clips)
    pictures = "".join(_plot(name, points, clips, colours, tower) for name, points in projections(rows).items())
    return f'<h3>{text(tower)} embeddings, {len(clips)} clips</h3>{key}<div class="figures">{pictures}</div>'


def _plot(name: str, points: Points, clips: Sequence[EvaluatedClip], colours: Sequence[str], tower: str) -> str:
    axes = Axes(span(points[:, 0]), span(points[:, 1]), 360, 320)
    dots = "".join(
        axes.point(x, y, colour, _label(clip))
        for (x, y), colour, clip in zip(points.tolist(), colours, clips, strict=True)
    )
    return figure(axes.svg(dots, f"{name} of {tower} embeddings", "", "", frame=False), name)


def _label(clip: EvaluatedClip) -> str:
    said = f", {clip.label}" if clip.label else ""
    where = f", {clip.azimuth:.0f}° / {clip.elevation:.0f}°" if math.isfinite(clip.azimuth) else ""
    return f"{clip.key}{said}{where}"


def _colours(clips: Sequence[EvaluatedClip]) -> tuple[list[str], str]:
    """A colour for each clip, and the legend: the direction of sound if it is known, else the class."""
    if all(math.isfinite(each.azimuth) for each in clips):
        return [direction_colour(each.azimuth) for each in clips], _directions()
    labels = list(dict.fromkeys(each.label for each in clips))
    by_label = {label: COLOURS[at % len(COLOURS)] for at, label in enumerate(labels)}
    return [by_label[each.label] for each in clips], legend([(each or "clip", by_label[each], "") for each in labels])


def direction_colour(azimuth: float) -> str:
    """Colour of an azimuth in degrees, around the circle of hues: red in front, then by the left."""
    red, green, blue = colorsys.hls_to_rgb((azimuth % 360) / 360, 0.5, 0.75)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def _directions() -> str:
    named = (("front", 0), ("left", 90), ("behind", 180), ("right", -90))
    return note("Colour: azimuth of the sound relative to the view.") + legend(
        [(name, direction_colour(azimuth), "") for name, azimuth in named]
    )
