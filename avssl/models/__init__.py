"""Audio and video towers, and the encoders that are published."""
