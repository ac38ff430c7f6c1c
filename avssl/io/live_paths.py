"""Standard streams, named pipes and devices: read or written once, from the beginning, as the data come."""

from __future__ import annotations

import stat
from pathlib import Path

STANDARD = Path("-")
"""Standard input, or standard output."""


def is_live(path: Path) -> bool:
    """Whether a path is `-`, a named pipe or a character device; not a file, a folder or what does not exist."""
    if path == STANDARD:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)
