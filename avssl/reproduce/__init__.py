"""Tables of the papers: all runs of a table, made once each and continued after a stop, then the table."""

from __future__ import annotations

SIZES = ("small", "full")
"""Recipes for two CPU cores, and the published ones."""
TASKS = ("avc", "avsa")
"""Pretext tasks of the papers."""
ROWS = ("baseline", "yolo", "iv", "iv-yolo", "beam", "beam-yolo")
"""Rows of Wang et al. 2023, Table 1, as they end the names of recipes."""
SOUND_ROWS = ("baseline", "iv")
"""Rows with features of their own on recordings without crops."""
