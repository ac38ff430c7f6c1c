"""Classifiers on frozen embeddings, and what is written of any classification: shared by the heads that classify."""
