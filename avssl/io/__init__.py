"""Files and processes below every other layer: the cache folder."""
