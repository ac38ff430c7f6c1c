"""Training of object detectors on synthetic datasets."""
