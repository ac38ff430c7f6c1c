"""Data sets: audio statistics, manifests, preparation."""
