"""Spellings of before 0.1.0 and the ones that replaced them: commands, flags, heads, config keys."""

from __future__ import annotations

from collections.abc import Container

COMMANDS = {
    "scenes": "synth",
    "detector": "train-detector",
    "energy": "energy-overlay",
    "downstream scenes": "downstream acoustic-scenes",
}
"""Commands, as typed after `avssl`."""

KEYS = {
    "apply": ("input",),
    "faint": ("min_rms",),
    "given": ("output_seconds",),
    "guide": ("crop_guide",),
    "highest": ("max_elevation",),
    "instant": ("frame_position",),
    "irm": ("target_mask",),
    "least_angle": ("min_separation",),
    "least_score": ("min_score",),
    "lowest": ("min_elevation", "min_bin"),
    "most_clips": ("max_clips",),
    "narrowest": ("min_fov",),
    "remains": ("final_lr_ratio",),
    "seam": ("wrap_padding",),
    "shares": ("lr_multipliers",),
    "smallest": ("min_crop_area",),
    "strength": ("C",),
    "to": ("output",),
    "weights": ("init",),
    "widest": ("max_fov",),
    "world": ("synthetic_dataset",),
    "world_seed": ("synthetic_seed",),
}
"""Config keys and flags (`-` written `_`); one old name may have had two meanings, of which a config knows one."""


def renamed_key(old: str, known: Container[str]) -> str:
    """The key that replaced an old one, if it is among the known ones; else an empty text.

    Args:
        old: key or flag, without its section: `shares` of `optim.shares`.
        known: keys that the config or command has, without their sections.
    """
    return next((new for new in KEYS.get(old, ()) if new in known), "")
