"""Renamed commands, flags, heads and config keys: spellings before 0.1.0 and their replacements."""

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
    "form": ("network",),
    "given": ("output_seconds",),
    "guide": ("crop_guide",),
    "highest": ("max_elevation",),
    "instant": ("frame_position",),
    "irm": ("target_mask",),
    "least_angle": ("min_separation",),
    "least_misalignment": ("min_misalignment",),
    "least_score": ("min_score",),
    "lowest": ("min_elevation", "min_bin"),
    "moduli": ("magnitude_weight",),
    "most_clips": ("max_clips",),
    "most_flow": ("max_flow",),
    "narrowest": ("min_fov",),
    "norm": ("batch_norm",),
    "picture": ("visual_branch",),
    "picture_weights": ("visual_weights",),
    "picture_width": ("visual_width",),
    "points": ("keypoints",),
    "raft": ("flow_weights",),
    "remains": ("final_lr_ratio",),
    "seam": ("wrap_padding",),
    "shares": ("lr_multipliers",),
    "smallest": ("min_crop_area",),
    "sound": ("audio_rotation", "audio"),
    "sound_layout": ("channel_layout",),
    "spatial": ("spatial_loss",),
    "spectra": ("stft_frames",),
    "strength": ("C",),
    "to": ("output",),
    "turns": ("rotations",),
    "weighted": ("weight_by_magnitude",),
    "weights": ("init",),
    "widest": ("max_fov",),
    "world": ("synthetic_dataset",),
    "world_rotation": ("scene_rotation",),
    "world_seed": ("synthetic_seed",),
}
"""Config keys and flags (`-` written `_`); an old name may have two replacements, of which a config has one."""


def renamed_key(old: str, known: Container[str]) -> str:
    """Replacement of an old key, if it is among the known ones; else an empty string.

    Args:
        old: old key or flag, without its section: `shares` of `optim.shares`.
        known: keys of the config or command, without their sections.
    """
    return next((new for new in KEYS.get(old, ()) if new in known), "")
