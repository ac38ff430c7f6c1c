"""pseudo-binaural as the stage is seen and heard: 90 degrees wide, solid on a background, each ear's own response."""

from __future__ import annotations

from functools import partial

from avssl.synth.pseudo_binaural import pseudo_binaural_dataset as pairs

VERSION = pairs.VERSION + 1
"""Of the world: raised whenever the same seed gives another scene."""

# Blended as published, objects take on the colours behind them, and no longer look like those on the stage.
pseudo_binaural_stage = partial(
    pairs.pseudo_binaural, width=224, height=128, fov=90.0, way="direct", background="drawn", blend="paste"
)
