"""Runs as one self-contained HTML page: table, curves, embeddings, confusion, directions, examples to play."""
