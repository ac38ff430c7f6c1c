"""Evaluation that downstream heads share: retrieval metrics."""
