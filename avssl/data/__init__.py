"""Recordings, manifests, clips, loading."""
