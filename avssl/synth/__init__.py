"""Synthetic datasets with known ground truth."""
