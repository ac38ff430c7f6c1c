"""Metrics of generated spatial audio."""
