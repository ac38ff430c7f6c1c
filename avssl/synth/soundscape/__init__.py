"""Synthetic soundscapes: noise, moving sources, reverberation, written as EigenScape or TAU."""
