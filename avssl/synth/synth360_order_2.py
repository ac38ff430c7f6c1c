"""synth360 with sound of the second order: what first-order sound is made of it has as its truth."""

from __future__ import annotations

from functools import partial

from avssl.synth.synth360 import VERSION, synth360

__all__ = ["VERSION", "synth360_order_2"]

synth360_order_2 = partial(synth360, order=2)
