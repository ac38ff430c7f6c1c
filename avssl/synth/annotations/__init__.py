"""Ground-truth annotations of synthetic scenes."""
