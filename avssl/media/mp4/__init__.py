"""MP4 boxes: spatial metadata, fast start, and muxing of spatial audio."""
