"""Benchmarks against named peers in one process, on the same input, after a check that both results agree."""
