"""Evaluation metrics and statistics shared by downstream heads."""
