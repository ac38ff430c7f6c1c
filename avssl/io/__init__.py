"""Files, locks, hashes, processes, cores, resumable journals and the cache folder, for every layer."""
