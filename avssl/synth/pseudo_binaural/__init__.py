"""The synthetic dataset `pseudo-binaural`: image patches with binaural audio."""
