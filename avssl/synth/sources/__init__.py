"""Synthetic sound sources: classes, oscillators, percussive and sustained sounds."""
