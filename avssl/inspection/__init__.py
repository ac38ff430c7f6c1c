"""Inspection of recordings: whether channels, projection and time stamps are what the file claims."""
