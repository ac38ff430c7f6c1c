"""pseudo-binaural as the stage is seen and heard: 90 degrees wide, a background, each ear's own response."""

from __future__ import annotations

from functools import partial

from avssl.scenes.pseudo_binaural import VERSION, pseudo_binaural

__all__ = ["VERSION", "pseudo_binaural_stage"]

pseudo_binaural_stage = partial(pseudo_binaural, width=224, height=128, fov=90.0, way="direct", background="drawn")
