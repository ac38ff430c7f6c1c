"""Run folders: created by training, read by reports; no torch."""
