"""Files, hashes, processes, cores and the cache folder, for every layer."""
