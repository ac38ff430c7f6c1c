"""Recordings, manifests, `prepare`, and the directory layouts of public data sets."""
