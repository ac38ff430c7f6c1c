"""The synthetic dataset `stage`: one camera, binaural audio."""
