"""Embeddings of frozen encoders: batch inference, the embedding cache, media discovery, tables."""
